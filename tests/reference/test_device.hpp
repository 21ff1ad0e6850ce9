// The device that proofs run on: the environment variable REWARD_TUNER_TEST_DEVICE (cuda, cuda:1), the CPU without it.
#pragma once
#include <c10/core/Device.h>

#include <cstdlib>
#include <string>

namespace reward_tuner::reference {

inline at::Device test_device() {
  const char* const name = std::getenv("REWARD_TUNER_TEST_DEVICE");
  return name == nullptr || *name == '\0' ? at::Device(at::kCPU) : at::Device(std::string(name));
}

}  // namespace reward_tuner::reference
