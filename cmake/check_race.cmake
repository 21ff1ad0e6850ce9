# cmake -DPROGRAM=bench_race -DMODEL=... -DOUT=file.json -P check_race.cmake
# One small update of each memory setting: the numbers a race is reported with must be there and must be
# what the method costs.
foreach(memory retain replay 1TB)
  execute_process(COMMAND "${PROGRAM}" --model "${MODEL}" --steps 4 --trained-steps 2 --batch 2 --updates 1
                          --memory ${memory} --json "${OUT}"
                  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE errors)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "bench_race --memory ${memory} failed: ${errors}")
  endif()
  file(READ "${OUT}" race)
  string(JSON updates LENGTH "${race}" updates)
  string(JSON losses LENGTH "${race}" losses)
  string(JSON cpu GET "${race}" updates 0 cpu)
  string(JSON wall GET "${race}" updates 0 wall)
  string(JSON forwards GET "${race}" network forwards)
  string(JSON backwards GET "${race}" network backwards)
  string(JSON ${memory}_peak GET "${race}" peak_tensor_bytes)
  string(JSON retained GET "${race}" network retained)
  string(JSON said GET "${race}" settings memory)
  set(expected 4)
  set(kept 2)
  if(memory STREQUAL replay)
    set(expected 6)
    set(kept 0)
  endif()
  if(NOT (updates EQUAL 1 AND losses EQUAL 3 AND cpu GREATER 0 AND wall GREATER 0
         AND forwards EQUAL expected AND backwards EQUAL 2 AND retained EQUAL kept AND said STREQUAL memory))
    message(FATAL_ERROR
            "bench_race --memory ${memory}: expected 1 timed update of 3, "
            "${expected} forwards and 2 backwards, ${kept} of them retained, got\n${race}")
  endif()
endforeach()
if(NOT replay_peak LESS retain_peak)
  message(FATAL_ERROR "replay expected a lower peak than retain, got ${replay_peak} and ${retain_peak}")
endif()
