// expect: [StepSelectionPolicy] missing: void check(int num_steps) const
#include <tests/compile_fail/policies.hpp>

struct Mine {
  using Role = StepSelectionRole;
  static constexpr std::string_view kName = "mine";
  struct Options {};
  explicit Mine(Options) {}
  StepPlan plan(const PlanContext&, Rng&) const { return {}; }
#ifdef REWARD_TUNER_GOOD_TWIN
  void check(int) const {}
#endif
};

static_assert(detail::ExplainStepSelection<Mine>::value);
#ifdef REWARD_TUNER_GOOD_TWIN
static_assert(StepSelectionPolicy<Mine>);
#endif
