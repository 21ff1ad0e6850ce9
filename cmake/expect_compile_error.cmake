# reward_tuner_expect_compile_error(FILE [PRECOMPILED]): registers the test compile_fail.<name> of one file.
# The file must not compile, must print the sentence of its first comment "// expect: ...", and exactly one error; the
# same file with REWARD_TUNER_GOOD_TWIN defined must compile. One unit shows both, each in a namespace of its own below
# the file's #include lines: the good twin, written out, then the mistake, included. An error of the twin is a second
# one; or it is that of the mistake, of which the compiler speaks once, where it met it first: then it names the unit.
# Only the front end runs (-fsyntax-only), in the form of the compiled library. PRECOMPILED is a header of
# reward_tuner_precompiled that the file includes. The same file, run by `cmake -P`, is the test itself.

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  file(READ "${SOURCE}" _source)
  if(NOT _source MATCHES "\n#ifn?def REWARD_TUNER_GOOD_TWIN\n")
    message(FATAL_ERROR "${SOURCE}: expected a line #ifdef or #ifndef REWARD_TUNER_GOOD_TWIN")
  endif()
  string(FIND "${_source}" "\n#" _end)  # the sentence ends where the first directive begins
  string(SUBSTRING "${_source}" 0 ${_end} _sentence)
  if(NOT _sentence MATCHES "^// expect: (.+)$")
    message(FATAL_ERROR "${SOURCE}: the first comment must read // expect: <sentence>")
  endif()
  string(REPLACE "\n// " " " _sentence "${CMAKE_MATCH_1}")
  set(_flags "@${FLAGS}" -DREWARD_TUNER_COMPILED)
  if(PRECOMPILED)
    list(APPEND _flags -include "${PRECOMPILED}")
  endif()
  string(REGEX MATCHALL "\n#include[^\n]*" _includes "${_source}")
  list(JOIN _includes "" _includes)
  string(REGEX REPLACE "\n#include[^\n]*" "" _twin "${_source}")
  string(CONCAT _unit "${_includes}\n#define REWARD_TUNER_GOOD_TWIN\nnamespace good_twin {\n${_twin}}\n"
                "#undef REWARD_TUNER_GOOD_TWIN\nnamespace mistake {\n#include \"${SOURCE}\"\n}\n")
  file(WRITE "${UNIT}" "${_unit}")
  set(ENV{LC_ALL} C)
  execute_process(COMMAND "${COMPILER}" ${_flags} -fsyntax-only "${UNIT}"
                  RESULT_VARIABLE _result OUTPUT_VARIABLE _text ERROR_VARIABLE _text)
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
    message(FATAL_ERROR "expected exactly one error, and none of the good twin, got ${_count}:\n${_text}")
  endif()
  string(REGEX REPLACE "([.+])" "[\\1]" _here "${UNIT}")
  if(_text MATCHES "${_here}:[0-9]+:[0-9]+:")
    message(FATAL_ERROR "the good twin does not compile:\n${_text}")
  endif()
  return()
endif()

function(reward_tuner_expect_compile_error file)
  cmake_path(GET file STEM name)
  get_filename_component(source "${file}" ABSOLUTE)
  add_test(NAME compile_fail.${name}
           COMMAND "${CMAKE_COMMAND}" "-DCOMPILER=${CMAKE_CXX_COMPILER}" "-DFLAGS=${REWARDTUNER_FRONT_END_FLAGS}"
                   "-DPRECOMPILED=${ARGV1}" "-DSOURCE=${source}" "-DUNIT=${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp"
                   -P "${CMAKE_CURRENT_FUNCTION_LIST_FILE}")
  set_tests_properties(compile_fail.${name} PROPERTIES LABELS compile_fail)
endfunction()
