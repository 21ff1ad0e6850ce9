// expect: [CallableReward] expected a const callable over (const Tensor& images) or (const RewardInput&)
#include <reward_tuner/rewards/callable.hpp>

#ifdef REWARD_TUNER_GOOD_TWIN
using Argument = const torch::Tensor&;
#else
using Argument = const char*;
#endif

torch::Tensor brightness(Argument);
inline constexpr auto size = sizeof(decltype(reward_tuner::black_box(&brightness)));
