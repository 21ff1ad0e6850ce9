// expect: [StepSelectionPolicy] missing: a nested type Options with defaults and a constructor from it
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = StepSelectionRole;
  static constexpr std::string_view kName = "mine";
#ifdef REWARD_TUNER_GOOD_TWIN
  struct Options {};
  explicit Mine(Options) {}
#endif
  StepPlan plan(const PlanContext&, Rng&) const { return {}; }
  void check(int) const {}
};

static_assert(detail::ExplainStepSelection<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(StepSelectionPolicy<Mine>);
#endif
