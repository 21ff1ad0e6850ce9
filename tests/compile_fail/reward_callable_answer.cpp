// expect: [CallableReward] expected a callable that returns Tensor [B] or RewardResult
#include <reward_tuner/rewards/callable.hpp>

#ifdef REWARD_TUNER_GOOD_TWIN
using Answer = torch::Tensor;
#else
using Answer = const char*;
#endif

Answer brightness(const torch::Tensor&);
inline constexpr auto size = sizeof(decltype(reward_tuner::black_box(&brightness)));
