// expect: [RewardTuner] needs exactly one RewardPolicy; combine several with WeightedSum<...>
#include <tests/compile_fail/rewards.hpp>

using namespace reward_tuner;

#ifdef REWARD_TUNER_GOOD_TWIN
using Tuner = RewardTuner<Ddim, StopInput, Reward>;
#else
using Tuner = RewardTuner<Ddim, StopInput>;
#endif

Tuner make_tuner(Tuner::Reward reward) { return Tuner(reward, {}); }
