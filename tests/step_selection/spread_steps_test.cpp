// DRTune's selection: probabilities, invariants over many draws, and options.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/spread_steps.hpp>

TEST_CASE("every plan of SpreadSteps is consistent, equally spaced, and never empty") {
  using namespace reward_tuner;
  Rng rng(1);
  for (const auto subset : {SpreadSubset::kPaper, SpreadSubset::kPrefix})
    for (const int T : {1, 2, 3, 7, 20, 25, 50})
      for (const int K : {1, 2, 3, 5, 7, T}) {
        if (K > T) continue;
        for (const int m : {-1, 0, 1, T / 2, T}) {
          const SpreadSteps steps({.num_trained = K, .max_early_stop = m, .subset = subset});
          steps.check(T);
          const int stop_range = m >= 0 ? m : static_cast<int>(std::lround(0.4 * T));
          for (int draw = 0; draw < 60; ++draw) {
            const StepPlan plan = steps.plan({.num_steps = T}, rng);
            REQUIRE_NOTHROW(check_plan(plan, T));
            REQUIRE(plan.jumps == (stop_range > 0));
            const int t_min = T - plan.last;  // the paper's clock; 1 is the last step
            if (plan.jumps) REQUIRE((t_min >= 1 && t_min <= stop_range));
            const int executed = plan.last + 1, range = subset == SpreadSubset::kPrefix ? executed : T;
            const int count = subset == SpreadSubset::kPrefix ? std::min(K, executed) : K;
            REQUIRE(static_cast<int>(plan.trained.size()) <= K);
            if (subset == SpreadSubset::kPrefix) REQUIRE(static_cast<int>(plan.trained.size()) == count);
            for (std::size_t i = 1; i < plan.trained.size(); ++i)
              REQUIRE(plan.trained[i] - plan.trained[i - 1] == range / count);
          }
        }
      }
}

TEST_CASE("if K divides T each step is trained with probability K/T") {
  using namespace reward_tuner;
  constexpr int kDraws = 6000;
  for (const auto& [T, K] : {std::pair{20, 4}, std::pair{50, 5}, std::pair{12, 1}})
    for (const std::uint64_t seed : {1, 2, 3}) {
      Rng rng(seed);
      const SpreadSteps steps({.num_trained = K, .max_early_stop = 0});
      std::vector<int> hits(static_cast<std::size_t>(T));
      for (int i = 0; i < kDraws; ++i)
        for (const int k : steps.plan({.num_steps = T}, rng).trained) ++hits[static_cast<std::size_t>(k)];
      // 4.5 deviations: 7e-6 a step by chance
      const double p = static_cast<double>(K) / T, bound = 4.5 * std::sqrt(p * (1 - p) / kDraws);
      for (const int h : hits) CHECK(std::abs(h / static_cast<double>(kDraws) - p) < bound);
    }
}

TEST_CASE("if K does not divide T every step can still be trained") {
  using namespace reward_tuner;
  Rng rng(5);
  std::set<int> seen;
  for (int i = 0; i < 2000; ++i)
    for (const int k : SpreadSteps({.num_trained = 3, .max_early_stop = 0}).plan({.num_steps = 25}, rng).trained)
      seen.insert(k);
  CHECK(seen.size() == 25);
}

TEST_CASE("early stops are uniform over 1..m") {
  using namespace reward_tuner;
  constexpr int kDraws = 8000, m = 8;
  Rng rng(9);
  std::vector<int> hits(m + 1);
  for (int i = 0; i < kDraws; ++i)
    ++hits[static_cast<std::size_t>(20 - SpreadSteps({.num_trained = 4}).plan({.num_steps = 20}, rng).last)];
  CHECK(hits[0] == 0);
  for (int t = 1; t <= m; ++t)
    CHECK(std::abs(hits[static_cast<std::size_t>(t)] / static_cast<double>(kDraws) - 1.0 / m) <
          4.5 * std::sqrt(0.125 * 0.875 / kDraws));
}

TEST_CASE("equal seeds give equal plans") {
  using namespace reward_tuner;
  Rng a(3), b(3), c(4);
  bool all_equal = true;
  for (int i = 0; i < 20; ++i) {
    const StepPlan plan = SpreadSteps().plan({.num_steps = 50}, a);
    CHECK(plan == SpreadSteps().plan({.num_steps = 50}, b));
    all_equal = all_equal && plan == SpreadSteps().plan({.num_steps = 50}, c);
  }
  CHECK_FALSE(all_equal);
}

TEST_CASE("SpreadSteps rejects options out of range") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(SpreadSteps({.num_trained = 0}), "[SpreadSteps] num_trained must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(SpreadSteps({.max_early_stop = -2}),
                       doctest::Contains("max_early_stop must be >= 0, or -1 for 0.4*T, got -2"), Error);
  CHECK_THROWS_WITH_AS(SpreadSteps({.num_trained = 21}).check(20),
                       "[SpreadSteps] num_trained must be at most the sampler's 20 steps, got 21", Error);
  CHECK_THROWS_WITH_AS(SpreadSteps({.max_early_stop = 21}).check(20),
                       "[SpreadSteps] max_early_stop must be at most the sampler's 20 steps, got 21", Error);
}

TEST_CASE("SpreadSteps always trains a step that the objective can learn from") {
  using namespace reward_tuner;
  for (const std::uint64_t seed : {1, 2, 3}) {
    Rng rng(seed);
    const PlanContext context{.num_steps = 4, .trainable = {0, 1, 2}};
    for (int i = 0; i < 200; ++i)
      REQUIRE(context.can_learn(SpreadSteps({.num_trained = 1, .max_early_stop = 0}).plan(context, rng).trained));
  }
}
