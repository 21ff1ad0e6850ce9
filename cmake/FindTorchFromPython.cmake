# Finds LibTorch without being told a path. Order: Torch_DIR or CMAKE_PREFIX_PATH,
# an importable Python `torch`, the project's .venv.
# The wheel is asked for by importlib, without importing torch, so a wheel without its Python dependencies is found too.
# Sets Torch_DIR; stops with one sentence if there is no LibTorch.
# For a CUDA build without a CUDA toolkit it makes the target `torch` itself, of what the wheel has.
if(NOT Torch_DIR)
  find_path(REWARDTUNER_TORCH_CMAKE TorchConfig.cmake PATH_SUFFIXES share/cmake/Torch Torch
            HINTS ${CMAKE_PREFIX_PATH} ENV CMAKE_PREFIX_PATH ENV Torch_DIR NO_DEFAULT_PATH)
  mark_as_advanced(REWARDTUNER_TORCH_CMAKE)
  if(REWARDTUNER_TORCH_CMAKE)
    set(Torch_DIR "${REWARDTUNER_TORCH_CMAKE}" CACHE PATH "LibTorch's CMake folder" FORCE)
  endif()
endif()
if(NOT Torch_DIR)
  set(reward_tuner_ask [[
import importlib.util, os, sys
spec = importlib.util.find_spec("torch")
path = os.path.join(os.path.dirname(spec.origin), "share", "cmake", "Torch") if spec and spec.origin else ""
sys.stdout.write(path if os.path.exists(os.path.join(path, "TorchConfig.cmake")) else "")
]])
  foreach(reward_tuner_python python3 "${CMAKE_CURRENT_LIST_DIR}/../.venv/bin/python"
                              "${CMAKE_SOURCE_DIR}/.venv/bin/python")
    execute_process(COMMAND "${reward_tuner_python}" -c "${reward_tuner_ask}"
                    OUTPUT_VARIABLE reward_tuner_found ERROR_QUIET RESULT_VARIABLE reward_tuner_status)
    if(reward_tuner_status EQUAL 0 AND reward_tuner_found)
      set(Torch_DIR "${reward_tuner_found}" CACHE PATH "LibTorch's CMake folder" FORCE)
      break()
    endif()
  endforeach()
endif()
if(NOT Torch_DIR)
  message(FATAL_ERROR
          "[RewardTuner] LibTorch was not found: set Torch_DIR or CMAKE_PREFIX_PATH, or pip install torch==2.13.0, "
          "or run script/setup")
endif()

get_filename_component(reward_tuner_torch "${Torch_DIR}/../../.." ABSOLUTE)
message(STATUS "LibTorch: ${reward_tuner_torch}")

# The ordinary wheel is a CUDA build, whose CMake package stops without a CUDA toolkit. Its libraries need none.
if(EXISTS "${reward_tuner_torch}/lib/libtorch_cuda.so")
  # LibTorch's package looks by the FindCUDA that it brings and links these libraries, so
  # a part of a toolkit (nvcc alone, say) is not enough
  set(reward_tuner_module_path "${CMAKE_MODULE_PATH}")
  list(APPEND CMAKE_MODULE_PATH "${reward_tuner_torch}/share/cmake/Caffe2/Modules_CUDA_fix")
  find_package(CUDA QUIET)
  set(CMAKE_MODULE_PATH "${reward_tuner_module_path}")
  find_package(CUDAToolkit QUIET)
  if(NOT (CUDA_FOUND AND CUDAToolkit_FOUND
          AND TARGET CUDA::cudart AND TARGET CUDA::cublas AND TARGET CUDA::cufft AND TARGET CUDA::nvrtc))
    # without a toolkit, the libraries are linked as they lie there; those of CUDA that they load come with the wheel
    file(GLOB reward_tuner_cudart "${reward_tuner_torch}/lib/libcudart*"
                                  "${reward_tuner_torch}/../nvidia/*/lib/libcudart*")
    if(reward_tuner_cudart)
      message(STATUS "[RewardTuner] no whole CUDA toolkit was found (nvcc, cudart, cublas, cufft, nvrtc): the CUDA "
                     "libraries of this LibTorch are used as they are")
    else()
      message(STATUS
              "[RewardTuner] this LibTorch is a CUDA build and neither a whole CUDA toolkit (nvcc, cudart, cublas, "
              "cufft, nvrtc) nor the CUDA libraries of its wheel were found: its CPU part is used; install the toolkit "
              "or the wheel with its dependencies to run on a GPU")
    endif()
    if(NOT EXISTS "${reward_tuner_torch}/lib/libtorch_cpu.so")
      message(FATAL_ERROR
              "[RewardTuner] the CUDA build of LibTorch at ${reward_tuner_torch} has no libtorch_cpu.so, "
              "and there is no CUDA toolkit: install the toolkit, or a CPU build of LibTorch")
    endif()
    add_library(torch INTERFACE IMPORTED GLOBAL)
    target_include_directories(torch INTERFACE "${reward_tuner_torch}/include"
                                               "${reward_tuner_torch}/include/torch/csrc/api/include")
    # libtorch_cpu.so finds the CUDA libraries of its own wheel when it is loaded, not when we link
    target_link_libraries(torch INTERFACE "${reward_tuner_torch}/lib/libtorch_cpu.so"
                                          "${reward_tuner_torch}/lib/libc10.so" -Wl,--allow-shlib-undefined)
    if(reward_tuner_cudart)  # nothing of ours names them: they register themselves when they are loaded
      set(reward_tuner_cuda "${reward_tuner_torch}/lib/libtorch_cuda.so,${reward_tuner_torch}/lib/libc10_cuda.so")
      target_link_libraries(torch INTERFACE "-Wl,--no-as-needed,${reward_tuner_cuda},--as-needed")
    endif()
  endif()
endif()
