// expect: [RewardPolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RewardRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  RewardResult score(const RewardInput&) const { return {}; }
};

static_assert(detail::ExplainReward<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardPolicy<Mine>);
#endif
