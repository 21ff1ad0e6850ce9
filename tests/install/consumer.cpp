// A host project: names a tuner and makes one.
#include <reward_tuner/reward_tuner.hpp>

#include <iostream>

int main() {
  namespace rt = reward_tuner;
  const auto tuner =
      rt::make<rt::DRTune>(rt::SymmetryReward(), {.sampler = {.num_steps = 20}, .steps = {.num_trained = 2}});
  std::cout << rt::jpeg_bytes(torch::zeros({1, 3, 16, 16})).item<std::int64_t>() << " bytes, ";  // links libjpeg
  std::cout << tuner.options().sampler.num_steps << " steps\n";
}
