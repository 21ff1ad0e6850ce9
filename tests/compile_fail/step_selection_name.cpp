// expect: [StepSelectionPolicy] missing: static constexpr std::string_view kName
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = StepSelectionRole;
#ifdef REWARD_TUNER_GOOD_TWIN
  static constexpr std::string_view kName = "mine";
#endif
  struct Options {};
  explicit Mine(Options) {}
  StepPlan plan(const PlanContext&, Rng&) const { return {}; }
  void check(int) const {}
};

static_assert(detail::ExplainStepSelection<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(StepSelectionPolicy<Mine>);
#endif
