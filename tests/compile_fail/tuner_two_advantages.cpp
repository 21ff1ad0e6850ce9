// expect: [RewardTuner] two AdvantagePolicies given; name one
#include <reward_tuner/methods/ddpo.hpp>
#include <reward_tuner/methods/grpo.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DDPO<BlackBox, PerGroup>;  // naming one replaces the method's own
#else
using Tuner = RewardTuner<BlackBox, ClippedRatio, PerGroup, PerPrompt>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
