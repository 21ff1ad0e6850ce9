# The option REWARDTUNER_CUDA: src/fused_kernels.cu and src/cuda_graph.cpp as a static library, which all that links the
# headers links too.
get_filename_component(reward_tuner_torch "${Torch_DIR}/../../.." ABSOLUTE)  # a host project may have found it
if(NOT TARGET torch_cuda AND NOT EXISTS "${reward_tuner_torch}/lib/libtorch_cuda.so")
  message(FATAL_ERROR "[RewardTuner] REWARDTUNER_CUDA expected a CUDA build of LibTorch, got ${reward_tuner_torch}: "
                      "install one, or leave the kernels out by -DREWARDTUNER_CUDA=OFF")
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)  # LibTorch's package sets flags of its own and switches this off
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

add_library(reward_tuner_cuda STATIC "${PROJECT_SOURCE_DIR}/src/fused_kernels.cu"
                                     "${PROJECT_SOURCE_DIR}/src/cuda_graph.cpp")
target_compile_features(reward_tuner_cuda PRIVATE cxx_std_20)
add_library(RewardTuner::cuda ALIAS reward_tuner_cuda)
set_target_properties(reward_tuner_cuda PROPERTIES EXPORT_NAME cuda CUDA_RUNTIME_LIBRARY Shared
                                                   POSITION_INDEPENDENT_CODE ON)
# CMake 3.25 does not know that nvcc 13 has C++20
target_compile_options(reward_tuner_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 --expt-relaxed-constexpr>)
target_compile_definitions(reward_tuner_cuda PUBLIC REWARD_TUNER_CUDA)
target_include_directories(reward_tuner_cuda PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
target_link_libraries(reward_tuner_cuda PUBLIC torch CUDA::cudart)
target_link_libraries(reward_tuner INTERFACE reward_tuner_cuda)
list(APPEND REWARDTUNER_TARGETS reward_tuner_cuda)
