// expect: [RewardTuner] RewardWeighted weighs images by their rewards: an AdvantagePolicy, a BranchingPolicy or a
// StepSelectionPolicy cannot be combined with it
#include <reward_tuner/advantages/per_prompt.hpp>
#include <reward_tuner/methods/reward_weighted.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = RewardWeightedTraining<BlackBox>;
#else
using Tuner = RewardWeightedTraining<BlackBox, PerPrompt>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
