# Every package the headers need, with its version floor, in one place.
# Used by the build and by the installed package alike.
set(REWARDTUNER_TORCH_FLOOR 2.11)

# A host project that adds us by add_subdirectory links these targets from its own folder: they must be visible there.
set(reward_tuner_targets_global "${CMAKE_FIND_PACKAGE_TARGETS_GLOBAL}")
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)

find_package(Threads REQUIRED)
if(TARGET torch AND DEFINED Torch_VERSION AND Torch_VERSION VERSION_LESS REWARDTUNER_TORCH_FLOOR)
  message(FATAL_ERROR "[RewardTuner] expected LibTorch ${REWARDTUNER_TORCH_FLOOR} or newer, got the host project's "
                      "${Torch_VERSION}")
endif()
if(NOT TARGET torch)
  include(FindTorchFromPython)
endif()
if(NOT TARGET torch)
  find_package(Torch ${REWARDTUNER_TORCH_FLOOR} REQUIRED)
endif()

find_package(nlohmann_json 3.11 QUIET)
if(NOT nlohmann_json_FOUND)
  message(FATAL_ERROR
          "[RewardTuner] nlohmann-json 3.11 or newer was not found; on Debian: apt-get install nlohmann-json3-dev")
endif()

find_package(utf8proc QUIET)
if(NOT utf8proc_FOUND)
  message(FATAL_ERROR "[RewardTuner] utf8proc was not found; on Debian: apt-get install libutf8proc-dev")
endif()

# Optional: the header that needs one of these says so where it is included. jpeg_size.hpp needs libjpeg, remote.hpp
# libcurl and stb; run.hpp needs stb and ranks/gloo.hpp Gloo's headers, which lie on the compiler's own path.
find_package(JPEG QUIET)
find_package(CURL QUIET)

set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL "${reward_tuner_targets_global}")
