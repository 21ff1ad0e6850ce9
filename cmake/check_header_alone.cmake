# cmake -DCOMPILER=... -DFLAGS=file -DINCLUDE_DIR=... -DPRECOMPILED=file.hpp -DWORK=folder -DPART=i -DPARTS=n
#       -P check_header_alone.cmake
# Every header must bring what it uses: compiled with nothing before it, it compiles, in the form of headers alone and
# in that over the compiled library, which leaves the definition files out. A header without definitions of its own
# sees in the form of headers alone what it sees in the other one, and more: the other one says it all.
#
# A header whose #include lines all stand above its code sees, where its code begins, the union of what its includes
# bring. Putting a header in front that it includes anyway, directly or through others, leaves that union as it is, so
# that the verdict stays what it would be alone. Hence
#   - headers of which each one is included by the next are compiled as one unit, in that order: a chain. The chains are
#     found in the graph of the #include lines: from the header that reaches most, down to the largest of those that it
#     reaches and that stand in no chain yet, and so on;
#   - a chain whose every header reaches <torch/types.h> is compiled with that one header precompiled.
# The order among the included headers may differ from that of the header alone. Each of them stands in a chain itself,
# so it compiles after any headers that it includes, and none asks what came before it.
cmake_minimum_required(VERSION 3.24)
file(GLOB_RECURSE headers RELATIVE "${INCLUDE_DIR}" "${INCLUDE_DIR}/*.hpp")
list(LENGTH headers count)
if(count LESS 30)
  message(FATAL_ERROR "only ${count} headers were found below ${INCLUDE_DIR}")
endif()

# reach_of(HEADER): sets reach_HEADER to all that it includes, directly or through headers of ours.
function(reach_of header)
  if(DEFINED reach_${header})
    return()
  endif()
  file(STRINGS "${INCLUDE_DIR}/${header}" lines REGEX "^(#include|namespace) ")
  set(reach "")
  set(code OFF)
  foreach(line IN LISTS lines)
    if(NOT line MATCHES "^#include [<\"]([^>\"]+)")
      set(code ON)
      continue()
    endif()
    set(included "${CMAKE_MATCH_1}")
    if(included MATCHES "\\.ipp$")  # the header's own definitions, below its code: they bring nothing to it
      continue()
    endif()
    if(code AND NOT included MATCHES "^stb/")  # stb puts its functions where it is included: into our own namespace
      message(FATAL_ERROR "${header}: expected every #include above the code, got ${line}")
    endif()
    list(APPEND reach "${included}")
    if(EXISTS "${INCLUDE_DIR}/${included}")
      reach_of("${included}")
      list(APPEND reach ${reach_${included}})
      set(reach_${included} "${reach_${included}}" PARENT_SCOPE)
    endif()
  endforeach()
  list(REMOVE_DUPLICATES reach)
  set(reach_${header} "${reach}" PARENT_SCOPE)
endfunction()

set(by_reach "")  # "<number of reached headers>|header", so that sorting puts the largest last
foreach(header IN LISTS headers)
  reach_of("${header}")
  list(LENGTH reach_${header} size)
  list(APPEND by_reach "${size}|${header}")
endforeach()
list(SORT by_reach COMPARE NATURAL ORDER DESCENDING)
list(TRANSFORM by_reach REPLACE "^[0-9]+[|]" "")

set(failed "")
set(covered "")
set(index 0)
foreach(first IN LISTS by_reach)
  if(first IN_LIST covered)
    continue()
  endif()
  # the candidates stand in falling order of reach, so that each next one is the largest that is left
  set(chain "${first}")
  set(lowest "${first}")
  list(APPEND covered "${first}")
  set(light ON)  # headers without LibTorch are cheap and must not keep a chain from the precompiled header
  if("torch/types.h" IN_LIST reach_${first})
    set(light OFF)
  endif()
  foreach(next IN LISTS by_reach)
    if(next IN_LIST reach_${lowest} AND NOT next IN_LIST covered AND (light OR "torch/types.h" IN_LIST reach_${next}))
      list(PREPEND chain "${next}")
      list(APPEND covered "${next}")
      set(lowest "${next}")
    endif()
  endforeach()
  math(EXPR turn "${index} % ${PARTS}")
  math(EXPR index "${index} + 1")
  if(NOT turn EQUAL PART)
    continue()
  endif()
  list(JOIN chain ">\n#include <" text)
  file(WRITE "${WORK}/alone_${PART}.cpp" "#include <${text}>\n")
  set(prefix "")
  if(NOT light)
    set(prefix -include "${PRECOMPILED}")
  endif()
  set(forms -DREWARD_TUNER_COMPILED)
  foreach(header IN LISTS chain)
    string(REGEX REPLACE "[.]hpp$" ".ipp" definitions "${header}")
    if(EXISTS "${INCLUDE_DIR}/${definitions}")
      set(forms -DREWARD_TUNER_COMPILED -UREWARD_TUNER_COMPILED)
    endif()
  endforeach()
  foreach(form IN LISTS forms)
    execute_process(COMMAND "${COMPILER}" "@${FLAGS}" ${form} -fsyntax-only ${prefix} "${WORK}/alone_${PART}.cpp"
                    RESULT_VARIABLE status ERROR_VARIABLE errors)
    if(NOT status EQUAL 0)
      string(SUBSTRING "${errors}" 0 1500 errors)
      list(JOIN chain ", " text)
      string(APPEND failed "${form}: ${text}:\n${errors}\n")
    endif()
  endforeach()
endforeach()
list(LENGTH covered covered)
if(NOT covered EQUAL count)
  message(FATAL_ERROR "${covered} of ${count} headers stand in a chain")
endif()
if(failed)
  message(FATAL_ERROR
          "headers that do not compile alone (the first one named by the compiler lacks an #include):\n${failed}")
endif()
message(STATUS "${count} headers in ${index} units, of which this part compiled every ${PARTS}th")
