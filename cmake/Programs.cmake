# Flags and the shared precompiled header of our own programs. Never exported.
include(Warnings)

set(REWARDTUNER_PCH_SOURCE "${PROJECT_BINARY_DIR}/pch.cpp")
file(GENERATE OUTPUT "${REWARDTUNER_PCH_SOURCE}" CONTENT "// Gives the shared precompiled header a home.\n")

add_library(reward_tuner_pch OBJECT "${REWARDTUNER_PCH_SOURCE}")
target_link_libraries(reward_tuner_pch PRIVATE RewardTuner::reward_tuner reward_tuner_warnings)
target_precompile_headers(reward_tuner_pch PRIVATE <torch/nn/module.h> <torch/autograd.h> <torch/types.h>
                           <ATen/ATen.h> <nlohmann/json.hpp>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(reward_tuner_pch PRIVATE -fpch-preprocess)  # lets ccache see through the precompiled header
endif()

# reward_tuner_program(NAME SOURCES...): an executable with our warnings, the precompiled header and,
# if asked for, the sanitizers.
function(reward_tuner_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE RewardTuner::reward_tuner reward_tuner_warnings)
  target_precompile_headers(${name} REUSE_FROM reward_tuner_pch)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE -fpch-preprocess)
  endif()
endfunction()
