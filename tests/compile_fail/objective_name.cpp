// expect: [ObjectivePolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = ObjectiveRole;
  static constexpr Surrogate kSurrogate = Surrogate::kReward;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {};
  explicit Mine(Options) {}
  Tensor losses(const Tensor&) const { return {}; }
};

static_assert(detail::ExplainObjective<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(ObjectivePolicy<Mine>);
#endif
