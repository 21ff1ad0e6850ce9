// expect: [RewardPolicy] missing: RewardResult score(const RewardInput&) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RewardRole;
  static constexpr std::string_view kName = "mine";
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
#ifdef REWARD_TUNER_GOOD_TWIN
  RewardResult score(const RewardInput&) const { return {}; }
#endif
};

static_assert(detail::ExplainReward<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardPolicy<Mine>);
#endif
