// expect: [RewardTuner] a policy names a Role that RewardTuner does not know
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

struct Mine {
  struct Role {};
};

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = DRTune<Reward>;
#else
using Tuner = DRTune<Reward, Mine>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
