// The first of two units that include everything: no definition may be made twice.
#include <reward_tuner/reward_tuner.hpp>

int answer_of_unit_two();

int main() {
  const reward_tuner::DRTune<reward_tuner::SymmetryReward> tuner{reward_tuner::SymmetryReward()};
  return tuner.options().sampler.num_steps == answer_of_unit_two() ? 0 : 1;
}
