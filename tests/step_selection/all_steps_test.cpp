// Every step.
#include <doctest/doctest.h>

#include <reward_tuner/core/check.hpp>
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

TEST_CASE("AllSteps leaves out the last steps, which still run") {
  using namespace reward_tuner;
  Rng rng(0);
  const AllSteps steps({.skip_last = 2});
  const StepPlan plan = steps.plan({.num_steps = 5}, rng);
  CHECK(plan == StepPlan{.last = 4, .jumps = false, .trained = {0, 1, 2}});
  CHECK_NOTHROW(steps.check(3));
  CHECK_THROWS_WITH_AS(steps.check(2), "[AllSteps] skip_last must be less than the sampler's 2 steps, got 2", Error);
  CHECK_THROWS_WITH_AS(AllSteps({.skip_last = -1}), "[AllSteps] skip_last must be >= 0, got -1", Error);
}
