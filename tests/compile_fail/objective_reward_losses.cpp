// expect: [RewardObjective] missing: Tensor losses(const Tensor& rewards) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ObjectiveRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  static constexpr Surrogate kSurrogate = Surrogate::kReward;
#ifdef REWARD_TUNER_GOOD_TWIN
  Tensor losses(const Tensor&) const { return {}; }
#endif
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(RewardObjective<Mine>);
#endif
