# reward_tuner_expect_compile_error(FILE [PRECOMPILED]): registers two tests of one file.
#   compile_fail.<name>       the file must not compile, must print the sentence of its first comment "// expect: ...",
#                             and exactly one error
#   compile_fail.<name>.good  the same file with REWARD_TUNER_GOOD_TWIN defined must compile
# Only the front end runs (-fsyntax-only). PRECOMPILED is a header of reward_tuner_precompiled that the file includes.
# The same file, run by `cmake -P`, is the test itself.

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  file(READ "${SOURCE}" _source LIMIT 1000)
  string(FIND "${_source}" "\n#" _end)  # the sentence ends where the first directive begins
  string(SUBSTRING "${_source}" 0 ${_end} _sentence)
  if(NOT _sentence MATCHES "^// expect: (.+)$")
    message(FATAL_ERROR "${SOURCE}: the first comment must read // expect: <sentence>")
  endif()
  string(REPLACE "\n// " " " _sentence "${CMAKE_MATCH_1}")
  set(_flags "@${FLAGS}")
  if(PRECOMPILED)
    list(APPEND _flags -include "${PRECOMPILED}")
  endif()
  if(GOOD_TWIN)
    list(APPEND _flags -DREWARD_TUNER_GOOD_TWIN)
  endif()
  set(ENV{LC_ALL} C)
  execute_process(COMMAND "${COMPILER}" ${_flags} -fsyntax-only "${SOURCE}"
                  RESULT_VARIABLE _result OUTPUT_VARIABLE _text ERROR_VARIABLE _text)
  if(GOOD_TWIN)
    if(NOT _result EQUAL 0)
      message(FATAL_ERROR "the good twin does not compile:\n${_text}")
    endif()
    return()
  endif()
  if(_result EQUAL 0)
    message(FATAL_ERROR "compiled, but should have failed with: ${_sentence}")
  endif()
  string(FIND "${_text}" "${_sentence}" _found)
  if(_found EQUAL -1)
    message(FATAL_ERROR "expected the sentence: ${_sentence}\ngot:\n${_text}")
  endif()
  string(REPLACE ";" "," _text_without_lists "${_text}")
  string(REPLACE "[" "(" _text_without_lists "${_text_without_lists}")
  string(REGEX MATCHALL " error: " _errors "${_text_without_lists}")
  list(LENGTH _errors _count)
  if(NOT _count EQUAL 1)
    message(FATAL_ERROR "expected exactly one error, got ${_count}:\n${_text}")
  endif()
  return()
endif()

function(reward_tuner_expect_compile_error file)
  cmake_path(GET file STEM name)
  get_filename_component(source "${file}" ABSOLUTE)
  foreach(twin IN ITEMS OFF ON)
    set(test compile_fail.${name})
    if(twin)
      string(APPEND test .good)
    endif()
    add_test(NAME ${test}
             COMMAND "${CMAKE_COMMAND}" "-DCOMPILER=${CMAKE_CXX_COMPILER}" "-DFLAGS=${REWARDTUNER_FRONT_END_FLAGS}"
                     "-DPRECOMPILED=${ARGV1}" "-DSOURCE=${source}" -DGOOD_TWIN=${twin}
                     -P "${CMAKE_CURRENT_FUNCTION_LIST_FILE}")
    set_tests_properties(${test} PROPERTIES LABELS compile_fail)
  endforeach()
endfunction()
