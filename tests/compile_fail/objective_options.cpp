// expect: [ObjectivePolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ObjectiveRole;
  static constexpr Surrogate kSurrogate = Surrogate::kReward;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {};
  explicit Mine(Options) {}
#endif
  Tensor losses(const Tensor&) const { return {}; }
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ObjectivePolicy<Mine>);
#endif
