# Flags and the shared precompiled header of our own programs. Never exported.
include(Warnings)

set(REWARDTUNER_PCH_SOURCE "${PROJECT_BINARY_DIR}/pch.cpp")
file(GENERATE OUTPUT "${REWARDTUNER_PCH_SOURCE}" CONTENT "// Gives the shared precompiled header a home.\n")

add_library(reward_tuner_pch OBJECT "${REWARDTUNER_PCH_SOURCE}")
target_link_libraries(reward_tuner_pch PRIVATE RewardTuner::reward_tuner reward_tuner_warnings)
target_precompile_headers(reward_tuner_pch PRIVATE <torch/nn/module.h> <torch/autograd.h> <torch/types.h>
                                                   <ATen/ATen.h> <nlohmann/json.hpp>)

# reward_tuner_own(NAME): our warnings, the precompiled header and, if asked for, the sanitizers.
function(reward_tuner_own name)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:reward_tuner_warnings>)
  target_precompile_headers(${name} REUSE_FROM reward_tuner_pch)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE -fpch-preprocess)  # lets ccache see through the precompiled header
  endif()
endfunction()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(reward_tuner_pch PRIVATE -fpch-preprocess)
endif()
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
