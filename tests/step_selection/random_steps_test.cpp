// K steps without replacement: invariants, probabilities of steps and of pairs.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

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
                       "[RandomSteps] num_trained must be at most the sampler's 4 steps, got 5", Error);
}
