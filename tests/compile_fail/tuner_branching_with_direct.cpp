// expect: [RewardTuner] a BranchingPolicy cannot be combined with DirectGradient, which differentiates the
// reward itself
#include <reward_tuner/branching/best_and_worst.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward>;
#else
using Tuner = DRTune<Reward, BestAndWorst>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
