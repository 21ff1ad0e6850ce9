// expect: [DirectGradient] needs a differentiable reward; this one is a black box
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward>;
#else
using Tuner = DRTune<BlackBox>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
