// expect: [RewardPolicy] optional member with another signature, expected: bool per_group() const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = RewardRole;
  static constexpr std::string_view kName = "mine";
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
#ifdef REWARD_TUNER_GOOD_TWIN
  bool per_group() const { return true; }
#else
  bool per_group = true;
#endif
  RewardResult score(const RewardInput&) const { return {}; }
};

static_assert(detail::ExplainReward<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardPolicy<Mine>);
#endif
