// expect: [StepSelectionPolicy] missing: StepPlan plan(const PlanContext&, Rng&) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = StepSelectionRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
#ifdef REWARD_TUNER_GOOD_TWIN
  StepPlan plan(const PlanContext&, Rng&) const { return {}; }
#endif
  void check(int) const {}
};

static_assert(detail::ExplainStepSelection<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(StepSelectionPolicy<Mine>);
#endif
