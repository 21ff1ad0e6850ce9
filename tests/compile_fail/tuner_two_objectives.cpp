// expect: [RewardTuner] two ObjectivePolicies given; name one
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward, DirectGradient>;
#else
using Tuner = DRTune<Reward, DirectGradient, DirectGradient>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
