# What the checks that run the compiler's front end alone share: its flags in a file, and headers precompiled for it.

# REWARDTUNER_FRONT_END_FLAGS: a response file with C++20, the source folder (for <tests/...>), include/ and LibTorch's
# headers; the other dependencies are expected on the compiler's own path.
set(REWARDTUNER_FRONT_END_FLAGS "${PROJECT_BINARY_DIR}/front_end.flags")
set(systems "$<TARGET_PROPERTY:torch,INTERFACE_INCLUDE_DIRECTORIES>")
set(systems "$<JOIN:$<REMOVE_DUPLICATES:${systems}>,\n-isystem>")
file(GENERATE OUTPUT "${REWARDTUNER_FRONT_END_FLAGS}"
     CONTENT "-std=c++20\n-I${PROJECT_SOURCE_DIR}\n-I${PROJECT_SOURCE_DIR}/include\n-isystem${systems}\n")

# reward_tuner_precompiled(HEADER RESULT [BELOW]): precompiles #include <HEADER> in the ordinary build, in the form of
# the compiled library; RESULT is the file that `-include` turns into the precompiled form. Exact only for a unit that
# includes HEADER anyway: nothing is lent to it. BELOW is the RESULT of a header that HEADER includes: clang reads it
# precompiled.
function(reward_tuner_precompiled header result)
  string(MAKE_C_IDENTIFIER "${header}" name)
  set(file "${PROJECT_BINARY_DIR}/precompiled/${name}.hpp")
  file(GENERATE OUTPUT "${file}" CONTENT "#include <${header}>\n")
  set(output "${file}.gch")
  set(flags -DREWARD_TUNER_COMPILED)
  set(below "")
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    set(output "${file}.pch")
    list(APPEND flags -Xclang -fpch-instantiate-templates)
    if(ARGC GREATER 2)
      set(below "${ARGV2}.pch")
      list(APPEND flags -include-pch "${below}")
    endif()
  endif()
  set(depends "precompiled/${name}.d")
  add_custom_command(OUTPUT "${output}"
                     COMMAND "${CMAKE_CXX_COMPILER}" "@${REWARDTUNER_FRONT_END_FLAGS}" ${flags} -x c++-header "${file}"
                             -o "${output}" -MD -MF "${PROJECT_BINARY_DIR}/${depends}" -MT "${output}"
                     DEPENDS "${file}" ${below} DEPFILE "${PROJECT_BINARY_DIR}/${depends}" VERBATIM
                     COMMENT "Precompiling <${header}> for the checks of headers and of compile errors")
  add_custom_target(precompiled_${name} ALL DEPENDS "${output}")
  set(${result} "${file}" PARENT_SCOPE)
endfunction()
reward_tuner_precompiled(torch/types.h REWARDTUNER_PRECOMPILED_TYPES)
