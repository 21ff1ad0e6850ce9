// The weights of reward-weighted training and RAFT, and their options.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/objectives/reward_weighted.hpp>

namespace reward_weighted_test {
namespace {

using namespace reward_tuner;

const std::vector<double> kRewards = {-1.0, 3.0, 1.0, 0.0, 3.0, 2.5};
const std::vector<std::int64_t> kGroups = {0, 0, 0, 7, 7, 7};

}  // namespace
}  // namespace reward_weighted_test

TEST_CASE("min-max weights run from 0 for the worst to 1 for the best of the round") {
  using namespace reward_weighted_test;
  const auto w = RewardWeighted().weights(kRewards, kGroups);
  CHECK(w == std::vector<double>{0.0, 1.0, 0.5, 0.25, 1.0, 0.875});
  CHECK(RewardWeighted().weights({2.0, 2.0}, {0, 1}) == std::vector<double>{1.0, 1.0});
  CHECK(RewardWeighted().weights({}, {}).empty());
  for (const double unit : {1e-3, 1e3, 1e12}) {
    std::vector<double> rewards = kRewards;
    for (double& r : rewards) r *= unit;
    const auto other = RewardWeighted().weights(rewards, kGroups);
    for (std::size_t i = 0; i < w.size(); ++i) CHECK(other[i] == doctest::Approx(w[i]).epsilon(1e-14));
  }
}

TEST_CASE("exponential weights are exp((r - max)/temperature), and never overflow") {
  using namespace reward_weighted_test;
  for (const double temperature : {0.2, 1.0, 5.0}) {
    const auto w = RewardWeighted({.weighting = RewardWeighting::kExponential, .temperature = temperature})
                       .weights(kRewards, kGroups);
    for (std::size_t i = 0; i < w.size(); ++i)
      CHECK(w[i] == doctest::Approx(std::exp((kRewards[i] - 3.0) / temperature)).epsilon(1e-15));
  }
  CHECK(RewardWeighted({.weighting = RewardWeighting::kExponential}).weights({1e6, 1e6 - 1e3}, {0, 0}) ==
        std::vector<double>{1.0, 0.0});
  CHECK(RewardWeighted({.weighting = RewardWeighting::kExponential}).weights({-7.0, -7.0}, {0, 0}) ==
        std::vector<double>{1.0, 1.0});
}

TEST_CASE("the mean over all images is that over the best of each prompt, the first of equal ones") {
  using namespace reward_weighted_test;
  const auto best = [](int n) { return RewardWeighted({.weighting = RewardWeighting::kBest, .best = n}); };
  CHECK(best(1).weights(kRewards, kGroups) == std::vector<double>{0, 3, 0, 0, 3, 0});
  CHECK(best(2).weights(kRewards, kGroups) == std::vector<double>{0, 1.5, 1.5, 0, 1.5, 1.5});
  CHECK(best(9).weights(kRewards, kGroups) == std::vector<double>(6, 1.0));
  CHECK(best(1).weights({4.0, 4.0, 4.0}, {3, 3, 3}) == std::vector<double>{3, 0, 0});
  CHECK(best(1).default_group() == 8);
  CHECK(RewardWeighted().default_group() == 1);
}

TEST_CASE("RewardWeighted's bad options are named errors") {
  using namespace reward_weighted_test;
  CHECK_THROWS_WITH_AS(RewardWeighted({.temperature = 0}), "[RewardWeighted] temperature must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(RewardWeighted({.temperature = std::numeric_limits<double>::infinity()}),
                       "[RewardWeighted] temperature must be > 0, got inf", Error);
  CHECK_THROWS_WITH_AS(RewardWeighted({.best = 0}), "[RewardWeighted] best must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(RewardWeighted({.noisings = 0}), "[RewardWeighted] noisings must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(
      RewardWeighted({.round = {.step_per_timestep = true}}),
      "[RewardWeighted] round.step_per_timestep cannot be combined with noise levels that are drawn at random", Error);
  CHECK_THROWS_WITH_AS(RewardWeighted({.round = {.epochs = 0}}), "[RewardTuner] round.epochs must be >= 1, got 0",
                       Error);
}
