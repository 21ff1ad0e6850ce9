// The second unit: the same headers, the same template, the same answer.
#include <reward_tuner/reward_tuner.hpp>

int answer_of_unit_two() {
  return reward_tuner::DRTune<reward_tuner::SymmetryReward>{reward_tuner::SymmetryReward()}.options().sampler.num_steps;
}
