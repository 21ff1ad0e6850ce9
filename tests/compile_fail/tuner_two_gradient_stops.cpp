// expect: [RewardTuner] two GradientStopPolicies given; name one
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = RewardTuner<Reward, PassInput>;
#else
using Tuner = DRTune<Reward, PassInput>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
