// A host project: names a tuner and makes one. Needs neither libjpeg nor stb.
#include <reward_tuner/reward_tuner.hpp>
#include <reward_tuner/run/prompt_set.hpp>

#include <iostream>

int main() {
  namespace rt = reward_tuner;
  const auto tuner =
      rt::make<rt::DRTune>(rt::SymmetryReward(), {.sampler = {.num_steps = 20}, .steps = {.num_trained = 2}});
  rt::Rng rng(0);
  std::cout << rt::PromptSet({"a red circle"}).draw(1, rng)[0] << " in " << tuner.options().sampler.num_steps
            << " steps\n";
}
