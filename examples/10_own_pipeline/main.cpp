// A pipeline of your own: DRTune with a pull towards the untuned network, and DDPO, on a model that is no Stable
// Diffusion. All they know of it is toy_denoiser.hpp, beside this file.
// Usage: 10_own_pipeline [UPDATES]
#include "toy_denoiser.hpp"

#include <reward_tuner/reward_tuner.hpp>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace rt = reward_tuner;

int main(int argc, char** argv) {
  const int updates = argc > 1 ? std::atoi(argv[1]) : 50;
  ToyDenoiser pipeline;
  rt::AdamW optimizer(pipeline.parameters(), {.learning_rate = 1e-3});

  auto drtune = rt::make<rt::DRTune, rt::KlToReference>(
      rt::ColorfulnessReward(),
      {.sampler = {.num_steps = 10, .guidance = 2.0}, .steps = {.num_trained = 3}, .regularizer = {.weight = 0.1}});
  auto ddpo = rt::make<rt::DDPO>(rt::BrightnessReward(), {.sampler = {.num_steps = 10, .guidance = 1.0}});
  const std::vector<std::string> prompts{"sun", "moon", "a star", "the sea"};
  rt::Rng rng(0);
  for (int update = 0; update < updates; ++update) {
    std::cout << drtune.update(pipeline, optimizer, prompts, rng) << '\n';
    std::cout << ddpo.update(pipeline, optimizer, prompts, rng) << '\n';
  }
}
