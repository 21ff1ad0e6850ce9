// expect: [RewardTuner] a GradientStopPolicy cannot be combined with ClippedRatio
#include <reward_tuner/methods/ddpo.hpp>

#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DDPO<BlackBox>;
#else
using Tuner = DDPO<BlackBox, StopInput>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
