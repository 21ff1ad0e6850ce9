// expect: [ObjectivePolicy] missing: static constexpr Surrogate kSurrogate
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ObjectiveRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr Surrogate kSurrogate = Surrogate::kReward;
#endif
  struct Options {};
  explicit Mine(Options) {}
  Tensor losses(const Tensor&) const { return {}; }
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ObjectivePolicy<Mine>);
#endif
