// ReFL's selection.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/late_jump.hpp>

TEST_CASE("LateJump jumps from a uniform step of the last T1..T2 and trains that step alone") {
  using namespace reward_tuner;
  constexpr int kDraws = 6000, T = 40, low = 3, high = 8;
  for (const std::uint64_t seed : {1, 2, 3}) {
    Rng rng(seed);
    std::vector<int> hits(T + 1);
    for (int i = 0; i < kDraws; ++i) {
      const StepPlan plan = LateJump({.min_stop = low, .max_stop = high}).plan({.num_steps = T}, rng);
      REQUIRE_NOTHROW(check_plan(plan, T));
      REQUIRE(plan.jumps);
      REQUIRE(plan.trained == std::vector<int>{plan.last});
      ++hits[static_cast<std::size_t>(T - plan.last)];  // the paper's clock
    }
    const double p = 1.0 / (high - low + 1), bound = 4.5 * std::sqrt(p * (1 - p) / kDraws);
    for (int t = 0; t <= T; ++t) {
      const double share = hits[static_cast<std::size_t>(t)] / static_cast<double>(kDraws);
      if (t < low || t > high) CHECK(share == 0);
      else CHECK(std::abs(share - p) < bound);
    }
  }
}

TEST_CASE("LateJump rejects stops out of order or beyond T") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(LateJump({.min_stop = 0}), "[LateJump] expected 1 <= min_stop <= max_stop, got 0 and 10", Error);
  CHECK_THROWS_WITH_AS(LateJump({.min_stop = 5, .max_stop = 4}),
                       "[LateJump] expected 1 <= min_stop <= max_stop, got 5 and 4", Error);
  CHECK_THROWS_WITH_AS(LateJump().check(9), "[LateJump] max_stop must be at most the sampler's 9 steps, got 10", Error);
  CHECK_NOTHROW(LateJump().check(10));
}
