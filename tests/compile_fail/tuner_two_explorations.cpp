// expect: [RewardTuner] two ExplorationPolicies given; name one
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward, NoExploration>;
#else
using Tuner = DRTune<Reward, NoExploration, NoExploration>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
