// expect: [RewardTuner] two GradientStopPolicies given; name one
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward, PassInput>;  // naming one replaces the method's own
#else
using Tuner = RewardTuner<Reward, StopInput, PassInput>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
