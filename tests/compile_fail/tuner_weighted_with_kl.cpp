// expect: [RewardTuner] RewardWeighted trains no sampler steps: KlToReference, which compares them with the untuned
// network's, cannot be combined with it
#include <reward_tuner/methods/reward_weighted.hpp>
#include <reward_tuner/regularizers/kl_to_reference.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = RewardWeightedTraining<BlackBox>;
#else
using Tuner = RewardWeightedTraining<BlackBox, KlToReference>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
