// expect: [WeightedSum] needs at least one reward
#include <tests/compile_fail/rewards.hpp>

#include <reward_tuner/rewards/weighted_sum.hpp>

#ifdef REWARD_TUNER_GOOD_TWIN
using Sum = reward_tuner::WeightedSum<Reward>;
#else
using Sum = reward_tuner::WeightedSum<>;
#endif

inline constexpr auto size = sizeof(Sum);
