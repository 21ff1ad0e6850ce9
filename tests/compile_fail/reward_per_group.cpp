// expect: [RewardPolicy] missing: static constexpr bool kPerGroup
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RewardRole;
  static constexpr std::string_view kName = "mine";
  static constexpr bool kDifferentiable = true;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr bool kPerGroup = false;
#endif
  RewardResult score(const RewardInput&) const { return {}; }
};

static_assert(detail::ExplainReward<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardPolicy<Mine>);
#endif
