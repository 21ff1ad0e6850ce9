// K steps without replacement: invariants, probabilities of steps and of pairs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>

TEST_CASE("RandomSteps trains exactly K steps, each with probability K/T, each pair with K(K-1)/(T(T-1))") {
  using namespace reward_tuner;
  constexpr int kDraws = 6000, T = 10, K = 3;
  for (const std::uint64_t seed : {1, 2, 3}) {
    Rng rng(seed);
    std::vector<int> hits(T);
    int pair = 0;
    for (int i = 0; i < kDraws; ++i) {
      const StepPlan plan = RandomSteps({.num_trained = K}).plan({.num_steps = T}, rng);
      REQUIRE_NOTHROW(check_plan(plan, T));
      REQUIRE(static_cast<int>(plan.trained.size()) == K);
      REQUIRE_FALSE(plan.jumps);
      for (const int k : plan.trained) ++hits[static_cast<std::size_t>(k)];
      pair += plan.trains(2) && plan.trains(7);
    }
    // 4.5 deviations: 7e-6 each by chance
    const auto bound = [](double p) { return 4.5 * std::sqrt(p * (1 - p) / kDraws); };
    for (const int h : hits) CHECK(std::abs(h / static_cast<double>(kDraws) - 0.3) < bound(0.3));
    const double both = 6.0 / 90.0;
    CHECK(std::abs(pair / static_cast<double>(kDraws) - both) < bound(both));
  }
}

TEST_CASE("RandomSteps with K = T trains all; K out of 1..T is a named error") {
  using namespace reward_tuner;
  Rng rng(0);
  CHECK(RandomSteps({.num_trained = 4}).plan({.num_steps = 4}, rng).trained == std::vector<int>{0, 1, 2, 3});
  CHECK_THROWS_WITH_AS(RandomSteps({.num_trained = 0}), "[RandomSteps] num_trained must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(RandomSteps({.num_trained = 5}).check(4),
                       "[RandomSteps] num_trained must be at most 4, the sampler's steps without skip_last, got 5",
                       Error);
}

TEST_CASE("RandomSteps draws among the steps that the objective can learn from, each with probability K/n") {
  using namespace reward_tuner;
  constexpr int kDraws = 6000, T = 6, K = 2;
  const std::vector<int> noisy = {0, 1, 3, 4};
  for (const std::uint64_t seed : {1, 2, 3}) {
    Rng rng(seed);
    std::vector<int> hits(T);
    for (int i = 0; i < kDraws; ++i) {
      const StepPlan plan = RandomSteps({.num_trained = K}).plan({.num_steps = T, .trainable = noisy}, rng);
      REQUIRE_NOTHROW(check_plan(plan, T));
      REQUIRE(static_cast<int>(plan.trained.size()) == K);
      for (const int k : plan.trained) ++hits[static_cast<std::size_t>(k)];
    }
    CHECK(hits[2] == 0);
    CHECK(hits[5] == 0);
    for (const int k : noisy) CHECK(std::abs(hits[static_cast<std::size_t>(k)] / double{kDraws} - 0.5) < 0.03);
  }
}

TEST_CASE("RandomSteps never draws the last steps that it skips") {
  using namespace reward_tuner;
  Rng rng(0);
  const RandomSteps steps({.num_trained = 2, .skip_last = 2});
  std::vector<int> hits(6);
  for (int i = 0; i < 200; ++i)
    for (const int k : steps.plan({.num_steps = 6, .trainable = {0, 1, 3, 4}}, rng).trained)
      ++hits[static_cast<std::size_t>(k)];
  CHECK(hits[2] + hits[4] + hits[5] == 0);
  for (const int k : {0, 1, 3}) CHECK(hits[static_cast<std::size_t>(k)] > 80);
  CHECK(RandomSteps({.skip_last = 2}).plan({.num_steps = 5}, rng).trained == std::vector<int>{0, 1, 2});
  CHECK_THROWS_WITH_AS(steps.check(3),
                       "[RandomSteps] num_trained must be at most 1, the sampler's steps without skip_last, got 2",
                       Error);
  CHECK_THROWS_WITH_AS(steps.check(2), "[RandomSteps] skip_last must be less than the sampler's 2 steps, got 2", Error);
  CHECK_THROWS_WITH_AS(RandomSteps({.skip_last = -1}), "[RandomSteps] skip_last must be >= 0, got -1", Error);
}

TEST_CASE("RandomSteps without a number trains 5 steps or all there are; a number above that is a named error") {
  using namespace reward_tuner;
  Rng rng(0);
  CHECK(RandomSteps().plan({.num_steps = 9}, rng).trained.size() == 5);
  CHECK(RandomSteps().plan({.num_steps = 3}, rng).trained == std::vector<int>{0, 1, 2});
  CHECK(RandomSteps().plan({.num_steps = 5, .trainable = {0, 1, 3}}, rng).trained == std::vector<int>{0, 1, 3});
  CHECK_NOTHROW(RandomSteps().check(2));
  CHECK_THROWS_WITH_AS(RandomSteps({.num_trained = 4}).plan({.num_steps = 4, .trainable = {0, 1, 2}}, rng),
                       "[RandomSteps] num_trained must be at most 3, of the sampler's 4 steps those with noise, got 4",
                       Error);
}
