// The plan of an update: queries and the errors of inconsistent plans.
#include <doctest/doctest.h>

#include <sstream>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/step_plan.hpp>

TEST_CASE("a plan answers what it trains and with which weight") {
  using reward_tuner::StepPlan;
  const StepPlan plan{.last = 9, .jumps = false, .trained = {2, 5, 9}, .weights = {1.0, 0.5, 2.0}};
  CHECK(plan.trains(5));
  CHECK_FALSE(plan.trains(4));
  CHECK(plan.first() == 2);
  CHECK(plan.weight(5) == 0.5);
  CHECK(plan.weight(9) == 2.0);
  CHECK(StepPlan{.last = 9, .jumps = false, .trained = {2}}.weight(2) == 1.0);
  CHECK(StepPlan{.last = 9, .jumps = false, .trained = {}}.first() == 10);
  std::ostringstream out;
  out << StepPlan{.last = 7, .jumps = true, .trained = {0, 4}};
  out << StepPlan{.last = 7, .jumps = false, .trained = {7}, .replicas = 2};
  CHECK(out.str() == "{trained 0 4; last 7, jumps}{trained 7; last 7; replicas 2}");
}

TEST_CASE("inconsistent plans are named errors") {
  using namespace reward_tuner;
  const auto wrong = [](StepPlan plan, const char* sentence) {
    CHECK_THROWS_WITH_AS(check_plan(plan, 10), doctest::Contains(sentence), Error);
  };
  CHECK_NOTHROW(check_plan({.last = 9, .jumps = false, .trained = {0, 9}}, 10));
  CHECK_NOTHROW(check_plan({.last = 3, .jumps = true, .trained = {3}}, 10));
  CHECK_NOTHROW(check_plan({.last = 9, .jumps = false, .trained = {}, .replicas = 1}, 10));
  wrong({.last = 9, .jumps = false, .trained = {9}, .replicas = -1}, "replicas must be >= 0, got -1");
  wrong({.last = 3, .jumps = true, .trained = {3}, .replicas = 1}, "this plan stops early at step 3");
  wrong({.last = 10, .jumps = false, .trained = {0}}, "last must be in 0..9, got 10");
  wrong({.last = -1, .jumps = true, .trained = {0}}, "last must be in 0..9, got -1");
  wrong({.last = 8, .jumps = false, .trained = {0}}, "must jump to the clean sample");
  wrong({.last = 9, .jumps = false, .trained = {}}, "at least one trained step");
  wrong({.last = 9, .jumps = false, .trained = {3, 3}}, "must ascend without repetition");
  wrong({.last = 9, .jumps = false, .trained = {4, 3}}, "must ascend without repetition");
  wrong({.last = 5, .jumps = true, .trained = {6}}, "must lie in 0..last");
  wrong({.last = 5, .jumps = true, .trained = {-1}}, "must lie in 0..last");
  wrong({.last = 9, .jumps = false, .trained = {1, 2}, .weights = {1.0}}, "expected 2 weights or none, got 1");
}
