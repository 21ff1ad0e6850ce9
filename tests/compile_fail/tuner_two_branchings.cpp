// expect: [RewardTuner] two BranchingPolicies given; name one
#include <reward_tuner/methods/b2_diffurl.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = B2DiffuRL<BlackBox, NoBranching>;
#else
using Tuner = RewardTuner<BlackBox, ClippedRatio, BestAndWorst, NoBranching>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
