// AlignProp's three truncations: probabilities against the published rules.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/step_selection/random_horizon.hpp>

namespace {

using namespace reward_tuner;

constexpr int kHorizons = 6000;
/// 4.5 deviations: 7e-6 each by chance.
double bound(double p) { return 4.5 * std::sqrt(p * (1 - p) / kHorizons) + 1e-12; }

/// How often each step is trained, over valid plans that run to the end.
std::vector<double> shares(const RandomHorizon& steps, int T, std::uint64_t seed, bool contiguous) {
  Rng rng(seed);
  std::vector<double> hits(static_cast<std::size_t>(T));
  for (int i = 0; i < kHorizons; ++i) {
    const StepPlan plan = steps.plan({.num_steps = T}, rng);
    REQUIRE_NOTHROW(check_plan(plan, T));
    REQUIRE_FALSE(plan.jumps);
    if (contiguous) REQUIRE(static_cast<int>(plan.trained.size()) == T - plan.first());
    for (const int k : plan.trained) hits[static_cast<std::size_t>(k)] += 1.0 / kHorizons;
  }
  return hits;
}

}  // namespace

TEST_CASE("per step: step i is trained independently with probability (i+1)/(T+1)") {
  constexpr int T = 12;
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto share = shares(RandomHorizon(), T, seed, false);
    // an empty draw has probability 1e-7
    for (int i = 0; i < T; ++i)
      CHECK(std::abs(share[static_cast<std::size_t>(i)] - (i + 1.0) / (T + 1.0)) < bound((i + 1.0) / (T + 1.0)));
    Rng rng(seed);
    int both = 0;
    for (int n = 0; n < kHorizons; ++n) {
      const StepPlan plan = RandomHorizon().plan({.num_steps = T}, rng);
      both += plan.trains(3) && plan.trains(8);
    }
    const double p = 4.0 / 13 * 9 / 13;
    CHECK(std::abs(both / static_cast<double>(kHorizons) - p) < bound(p));
  }
  Rng rng(1);
  // T = 1 is empty every second time
  for (int n = 0; n < 200; ++n) CHECK_FALSE(RandomHorizon().plan({.num_steps = 1}, rng).trained.empty());
}

TEST_CASE("per rollout: one cut-off int(Normal(42, 5)) of 50, the steps from it on") {
  constexpr int T = 50;
  const auto below = [](double x) { return 0.5 * std::erfc(-(x - 42) / (5 * std::sqrt(2.0))); };  // Normal(42, 5)
  const double kept = below(50) - below(1);                                                       // 1 <= int(u) < 50
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto share = shares(RandomHorizon({.draw = HorizonDraw::kPerRollout}), T, seed, true);
    double mean = 0;
    for (int i = 0; i < T; ++i) {  // trained if int(u) <= i
      const double p = i < 1 ? 0.0 : (below(i + 1) - below(1)) / kept;
      CHECK(std::abs(share[static_cast<std::size_t>(i)] - p) < bound(p));
      mean += share[static_cast<std::size_t>(i)];
    }
    CHECK(mean == doctest::Approx(9.1).epsilon(0.05));  // the published code's mean number of trained steps
  }
}

TEST_CASE("contiguous: the last K steps with K uniform in 1..T") {
  constexpr int T = 10;
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto share = shares(RandomHorizon({.draw = HorizonDraw::kContiguous}), T, seed, true);
    for (int i = 0; i < T; ++i)
      CHECK(std::abs(share[static_cast<std::size_t>(i)] - (i + 1.0) / T) < bound((i + 1.0) / T));
  }
}

TEST_CASE("fixed: always the same cut-off, by default the last step") {
  Rng rng(0);
  CHECK(RandomHorizon({.draw = HorizonDraw::kFixed}).plan({.num_steps = 5}, rng).trained == std::vector<int>{4});
  CHECK(RandomHorizon({.draw = HorizonDraw::kFixed, .cutoff = 2}).plan({.num_steps = 5}, rng).trained ==
        std::vector<int>{2, 3, 4});
}

TEST_CASE("every draw reaches a step that the objective can learn from") {
  for (const HorizonDraw draw : {HorizonDraw::kPerStep, HorizonDraw::kPerRollout, HorizonDraw::kContiguous})
    for (const std::uint64_t seed : {1, 2, 3}) {
      Rng rng(seed);
      const PlanContext context{.num_steps = 5, .trainable = {0, 1, 2}};
      for (int i = 0; i < 500; ++i)
        REQUIRE(context.can_learn(RandomHorizon({.draw = draw}).plan(context, rng).trained));
    }
  Rng rng(1);
  CHECK_THROWS_WITH_AS(RandomHorizon({.draw = HorizonDraw::kPerRollout, .cutoff_mean = 0.9, .cutoff_deviation = 0})
                           .plan({.num_steps = 10, .trainable = {0, 1, 2, 3}}, rng),
                       "[RandomHorizon] a cut-off of mean 9 and deviation 0 hardly ever lies in 1..3 of the sampler's "
                       "10 steps",
                       Error);
}

TEST_CASE("RandomHorizon's bad options are named errors") {
  CHECK_THROWS_WITH_AS(RandomHorizon({.cutoff_mean = 1.5}),
                       "[RandomHorizon] cutoff_mean is a share of T in [0, 1], got 1.5", Error);
  CHECK_THROWS_WITH_AS(RandomHorizon({.cutoff_deviation = -1}), "[RandomHorizon] cutoff_deviation must be >= 0, got -1",
                       Error);
  CHECK_THROWS_WITH_AS(RandomHorizon({.cutoff = 3}), "[RandomHorizon] cutoff belongs to HorizonDraw::kFixed, got 3",
                       Error);
  CHECK_THROWS_WITH_AS(RandomHorizon({.draw = HorizonDraw::kFixed, .cutoff = 5}).check(5),
                       "[RandomHorizon] cutoff must be below the sampler's 5 steps, got 5", Error);
  CHECK_THROWS_WITH_AS(RandomHorizon({.draw = HorizonDraw::kPerRollout}).check(1),
                       doctest::Contains("hardly ever lies in 1..0"), Error);
  CHECK_THROWS_WITH_AS(
      RandomHorizon({.draw = HorizonDraw::kPerRollout, .cutoff_mean = 1, .cutoff_deviation = 0}).check(20),
      doctest::Contains("hardly ever lies in 1..19"), Error);
  CHECK_NOTHROW(RandomHorizon({.draw = HorizonDraw::kPerRollout}).check(20));
}
