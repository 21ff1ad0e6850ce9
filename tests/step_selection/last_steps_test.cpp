// DRaFT's selection.
#include <doctest/doctest.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/last_steps.hpp>

TEST_CASE("LastSteps trains the last K of T, always to the end") {
  using namespace reward_tuner;
  Rng rng(0);
  for (int T = 1; T <= 12; ++T)
    for (int K = 1; K <= T; ++K) {
      const LastSteps steps({.num_trained = K});
      CHECK_NOTHROW(steps.check(T));
      const StepPlan plan = steps.plan({.num_steps = T}, rng);
      CHECK_NOTHROW(check_plan(plan, T));
      CHECK_FALSE(plan.jumps);
      CHECK(plan.first() == T - K);
      CHECK(plan.trained.back() == T - 1);
      CHECK(static_cast<int>(plan.trained.size()) == K);
    }
}

TEST_CASE("LastSteps rejects K out of 1..T") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(LastSteps({.num_trained = 0}), "[LastSteps] num_trained must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(LastSteps({.num_trained = 11}).check(10),
                       "[LastSteps] num_trained must be at most the sampler's 10 steps, got 11", Error);
}
