// expect: [RewardTuner] two RegularizerPolicies given; name one
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward, NoRegularizer>;
#else
using Tuner = DRTune<Reward, NoRegularizer, NoRegularizer>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
