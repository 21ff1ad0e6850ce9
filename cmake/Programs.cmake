# Flags and the shared precompiled headers of our own programs. Never exported.
include(Warnings)

set(REWARDTUNER_PCH_SOURCE "${PROJECT_BINARY_DIR}/pch.cpp")
file(GENERATE OUTPUT "${REWARDTUNER_PCH_SOURCE}" CONTENT "// Gives a shared precompiled header a home.\n")

# reward_tuner_shared_header(NAME OPTIONS...): the precompiled header of programs with these compiler options, which
# name it by the variable REWARDTUNER_PCH of their folder.
function(reward_tuner_shared_header name)
  add_library(${name} OBJECT "${REWARDTUNER_PCH_SOURCE}")
  target_link_libraries(${name} PRIVATE RewardTuner::reward_tuner reward_tuner_warnings)
  target_compile_options(${name} PRIVATE ${ARGN})
  target_precompile_headers(${name} PRIVATE <torch/nn/module.h> <torch/autograd.h> <torch/types.h> <ATen/ATen.h>
                                            <nlohmann/json.hpp>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # ccache sees through the precompiled header, and need not read its 600 MB
    target_compile_options(${name} PRIVATE -fpch-preprocess)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${name}.dir/cmake_pch.hxx.gch.sum"
         "LibTorch ${Torch_VERSION}, nlohmann_json ${nlohmann_json_VERSION}\n")
  elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")  # the same header twice is the same file, for ccache
    target_compile_options(${name} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()
set(REWARDTUNER_PCH reward_tuner_pch)
reward_tuner_shared_header(${REWARDTUNER_PCH})

# reward_tuner_unoptimized(): programs of this folder are compiled without optimization in Release, which takes less
# than half of the time of -O2: theirs is that of LibTorch and of the compiled library, which stays -O2
# (docs/decisions/0033-clang-builds-here.md).
macro(reward_tuner_unoptimized)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-O0)
    set(REWARDTUNER_PCH reward_tuner_unoptimized_pch)
    if(NOT TARGET ${REWARDTUNER_PCH})
      reward_tuner_shared_header(${REWARDTUNER_PCH})
    endif()
  endif()
endmacro()

# reward_tuner_own(NAME): our warnings, the precompiled header and, if asked for, the sanitizers.
function(reward_tuner_own name)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:reward_tuner_warnings>)
  target_precompile_headers(${name} REUSE_FROM ${REWARDTUNER_PCH})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE -fpch-preprocess)
  endif()
endfunction()
if(TARGET reward_tuner_compiled)
  reward_tuner_own(reward_tuner_compiled)
  set_target_properties(reward_tuner_compiled PROPERTIES UNITY_BUILD OFF)  # its units are long enough
endif()

# reward_tuner_program(NAME [HEADER_ONLY] SOURCES...): an executable of ours over the compiled library where it is
# built, over the headers alone where it is not or where HEADER_ONLY asks for that.
function(reward_tuner_program name)
  cmake_parse_arguments(PARSE_ARGV 1 program "HEADER_ONLY" "" "")
  add_executable(${name} ${program_UNPARSED_ARGUMENTS})
  if(TARGET reward_tuner_compiled AND NOT program_HEADER_ONLY)
    target_link_libraries(${name} PRIVATE RewardTuner::compiled)
  else()
    target_link_libraries(${name} PRIVATE RewardTuner::reward_tuner)
  endif()
  reward_tuner_own(${name})
  if(program_HEADER_ONLY)  # it shows that units of headers alone link
    set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  endif()
endfunction()
