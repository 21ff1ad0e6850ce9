// Every step.
#include <doctest/doctest.h>

#include <reward_tuner/step_selection/all_steps.hpp>

TEST_CASE("AllSteps trains 0..T-1, to the end") {
  using namespace reward_tuner;
  Rng rng(0);
  for (const int T : {1, 2, 7, 50}) {
    AllSteps().check(T);
    const StepPlan plan = AllSteps().plan({.num_steps = T}, rng);
    CHECK_NOTHROW(check_plan(plan, T));
    CHECK_FALSE(plan.jumps);
    CHECK(static_cast<int>(plan.trained.size()) == T);
    CHECK((plan.trained.front() == 0 && plan.trained.back() == T - 1));
  }
}
