// B2-DiffuRL's backward progressive training.
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/backward_window.hpp>

namespace {

int window_length(const reward_tuner::BackwardWindow& steps, int num_steps, std::int64_t update) {
  reward_tuner::Rng rng(0);
  const reward_tuner::StepPlan plan = steps.plan({.num_steps = num_steps, .update = update}, rng);
  REQUIRE_NOTHROW(reward_tuner::check_plan(plan, num_steps));
  REQUIRE_FALSE(plan.jumps);
  REQUIRE(plan.trained.back() == num_steps - 1);
  REQUIRE(plan.first() == num_steps - static_cast<int>(plan.trained.size()));  // the last ones, without gaps
  return static_cast<int>(plan.trained.size());
}

}  // namespace

TEST_CASE("BackwardWindow as B2-DiffuRL runs it: 14 of 20 steps to all in 100 rounds, 14 or 15 rounds each") {
  using namespace reward_tuner;
  for (const int initial : {0, 14}) {
    const BackwardWindow steps({.initial = initial, .rounds = 100});
    steps.check(20);
    std::map<int, int> lasts;
    int before = 0;
    for (int r = 0; r < 100; ++r) {
      const int n = window_length(steps, 20, r);
      REQUIRE(n == 14 + 7 * r / 100);
      REQUIRE(n >= before);
      before = n;
      ++lasts[n];
    }
    CHECK(lasts == std::map<int, int>{{14, 15}, {15, 14}, {16, 14}, {17, 15}, {18, 14}, {19, 14}, {20, 14}});
  }
}

TEST_CASE("BackwardWindow grows from n_init to T within the planned rounds and stays there") {
  using namespace reward_tuner;
  for (int T = 1; T <= 12; ++T)
    for (int initial = 1; initial <= T; ++initial)
      for (const int rounds : {1, 2, 7, 12, 40}) {
        const BackwardWindow steps({.initial = initial, .rounds = rounds});
        CHECK_NOTHROW(steps.check(T));
        int before = window_length(steps, T, 0);
        CHECK(before == initial);
        for (int r = 1; r < rounds + 3; ++r) {
          const int n = window_length(steps, T, r);
          CHECK(n >= before);
          if (rounds >= T - initial + 1) CHECK(n - before <= 1);
          before = n;
        }
        // the planned rounds include some with all steps
        if (rounds >= T - initial + 1) CHECK(window_length(steps, T, rounds - 1) == T);
        CHECK(window_length(steps, T, rounds) == T);
        CHECK(window_length(steps, T, std::numeric_limits<std::int64_t>::max()) == T);
      }
}

TEST_CASE("BackwardWindow begins with 70 % of the steps, at least one") {
  using namespace reward_tuner;
  for (const auto& [T, initial] : std::map<int, int>{{1, 1}, {2, 1}, {3, 2}, {4, 3}, {10, 7}, {20, 14}, {50, 35}})
    CHECK(window_length(BackwardWindow({.rounds = 100}), T, 0) == initial);
}

TEST_CASE("BackwardWindow without rounds grows over the whole run, and wants to know its length") {
  using namespace reward_tuner;
  const BackwardWindow whole({.initial = 2}), fixed({.initial = 2, .rounds = 40});
  Rng rng(1);
  for (std::int64_t update = 0; update < 50; ++update) {
    const PlanContext run{.num_steps = 10, .update = update, .planned = 40};
    CHECK(whole.plan(run, rng) == fixed.plan({.num_steps = 10, .update = update}, rng));
    CHECK(BackwardWindow({.initial = 2, .rounds = 7}).plan(run, rng) ==
          BackwardWindow({.initial = 2, .rounds = 7}).plan({.num_steps = 10, .update = update}, rng));
  }
  CHECK_THROWS_WITH_AS(
      whole.plan({.num_steps = 10}, rng),
      "[BackwardWindow] rounds expected a number, or the length of the run: a Trainer tells the tuner, "
      "a loop of your own by tuner.plan(updates) before its first update; got neither",
      Error);
}

TEST_CASE("BackwardWindow leaves out the last steps of every window") {
  using namespace reward_tuner;
  Rng rng(1);
  const BackwardWindow steps({.initial = 3, .rounds = 8, .skip_last = 2}), whole({.initial = 3, .rounds = 8});
  for (int update = 0; update < 10; ++update) {
    const PlanContext context{.num_steps = 6, .update = update};
    StepPlan expected = whole.plan(context, rng);
    expected.trained.resize(expected.trained.size() - 2);
    CHECK(steps.plan(context, rng) == expected);
  }
  CHECK_NOTHROW(steps.check(6));
  CHECK_THROWS_WITH_AS(BackwardWindow({.initial = 3, .skip_last = 3}).check(6),
                       "[BackwardWindow] skip_last must be less than the first window of 3 steps, got 3", Error);
  CHECK_THROWS_WITH_AS(BackwardWindow({.skip_last = -1}), "[BackwardWindow] skip_last must be >= 0, got -1", Error);
}

TEST_CASE("BackwardWindow rejects lengths out of 1..T and fewer than one round") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(BackwardWindow({.initial = -1}), "[BackwardWindow] initial must be >= 1, or 0 for 0.7*T, got -1",
                       Error);
  CHECK_THROWS_WITH_AS(BackwardWindow({.rounds = 0}), "[BackwardWindow] rounds must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(BackwardWindow({.initial = 11}).check(10),
                       "[BackwardWindow] initial must be at most the sampler's 10 steps, got 11", Error);
  CHECK_NOTHROW(BackwardWindow({.initial = 10}).check(10));
}
