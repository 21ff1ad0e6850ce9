// expect: [RewardPolicy] missing: static constexpr bool kDifferentiable
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RewardRole;
  static constexpr std::string_view kName = "mine";
  static constexpr bool kPerGroup = false;
  RewardResult score(const RewardInput&) const { return {}; }
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr bool kDifferentiable = true;
#else
  static constexpr int kDifferentiable = 1;
#endif
};

static_assert(detail::ExplainReward<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardPolicy<Mine>);
#endif
