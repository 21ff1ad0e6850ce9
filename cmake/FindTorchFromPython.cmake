# Finds LibTorch without being told a path. Order: Torch_DIR or CMAKE_PREFIX_PATH, an importable Python `torch`, the project's .venv.
# The wheel is asked for by importlib, without importing torch, so a wheel without its Python dependencies is found too.
# Sets Torch_DIR; stops with one sentence if there is no LibTorch, or if it is a CUDA build and there is no CUDA toolkit.
if(NOT Torch_DIR)
  find_path(REWARDTUNER_TORCH_CMAKE TorchConfig.cmake PATH_SUFFIXES share/cmake/Torch Torch HINTS ${CMAKE_PREFIX_PATH} ENV CMAKE_PREFIX_PATH ENV Torch_DIR NO_DEFAULT_PATH)
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
  foreach(reward_tuner_python python3 "${CMAKE_CURRENT_LIST_DIR}/../.venv/bin/python" "${CMAKE_SOURCE_DIR}/.venv/bin/python")
    execute_process(COMMAND "${reward_tuner_python}" -c "${reward_tuner_ask}" OUTPUT_VARIABLE reward_tuner_found ERROR_QUIET RESULT_VARIABLE reward_tuner_status)
    if(reward_tuner_status EQUAL 0 AND reward_tuner_found)
      set(Torch_DIR "${reward_tuner_found}" CACHE PATH "LibTorch's CMake folder" FORCE)
      break()
    endif()
  endforeach()
endif()
if(NOT Torch_DIR)
  message(FATAL_ERROR "[RewardTuner] LibTorch was not found: set Torch_DIR or CMAKE_PREFIX_PATH, or pip install torch==2.13.0, or run script/setup")
endif()

get_filename_component(reward_tuner_torch "${Torch_DIR}/../../.." ABSOLUTE)
if(EXISTS "${reward_tuner_torch}/lib/libtorch_cuda.so")
  find_program(REWARDTUNER_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(REWARDTUNER_NVCC)
  if(NOT REWARDTUNER_NVCC)
    message(FATAL_ERROR "[RewardTuner] the LibTorch at ${reward_tuner_torch} is a CUDA build and its CMake files need a CUDA toolkit, but nvcc was not found: install the toolkit, or a CPU build of LibTorch")
  endif()
endif()
message(STATUS "LibTorch: ${reward_tuner_torch}")
