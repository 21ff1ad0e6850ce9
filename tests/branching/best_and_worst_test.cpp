// B2-DiffuRL's selection within a root.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/branching/best_and_worst.hpp>

TEST_CASE("BestAndWorst keeps the best and the worst of a root, each on its own account") {
  using namespace reward_tuner;
  using Choices = std::vector<BranchChoice>;
  const BestAndWorst policy({.threshold = 0.5, .positive_weight = 2, .negative_weight = 3});
  CHECK(policy.branches() == 3);
  CHECK((policy.choose({-1, 0.1, 1}) == Choices{{2, 2}, {0, 3}}));  // both, best first
  CHECK((policy.choose({0.5, 0.1, -0.5}) == Choices{{0, 2}}));      // from the threshold on, and below its negative
  CHECK((policy.choose({0.4, -0.6, 0.1}) == Choices{{1, 3}}));      // the worst alone
  CHECK(policy.choose({0.4, -0.4, 0.1}).empty());                   // neither
  CHECK((policy.choose({0.7, 0.9, 0.8}) == Choices{{1, 2}}));       // all good: the best alone
  CHECK((policy.choose({-0.7, -0.9, -0.8}) == Choices{{1, 3}}));    // all bad
  CHECK((policy.choose({-1, 2, 2}) == Choices{{1, 2}, {0, 3}}));    // the first of equal ones
  CHECK((policy.choose({2, -1, -1}) == Choices{{0, 2}, {1, 3}}));
  CHECK((policy.choose({1, 1, 1}) == Choices{{0, 2}}));  // best and worst the same: once
  CHECK((policy.choose({-1, -1, -1}) == Choices{{0, 3}}));
}

TEST_CASE("with threshold 0 an advantage of 0 is kept as best, with the weight of those not above 0") {
  using namespace reward_tuner;
  const BestAndWorst policy({.num_branches = 2, .threshold = 0, .positive_weight = 2, .negative_weight = 3});
  CHECK((policy.choose({0, 0}) == std::vector<BranchChoice>{{0, 3}}));
  CHECK((policy.choose({-1e-9, 1e-9}) == std::vector<BranchChoice>{{1, 2}, {0, 3}}));
}

TEST_CASE("BestAndWorst is the published rule for any advantages") {
  using namespace reward_tuner;
  std::mt19937 random(2);
  std::normal_distribution<double> normal;
  for (const int branches : {2, 3, 5}) {
    const BestAndWorst policy({.num_branches = branches});
    for (int draw = 0; draw < 500; ++draw) {
      std::vector<double> a(static_cast<std::size_t>(branches));
      for (double& x : a) x = 0.25 * std::round(4 * normal(random));  // ties are common
      std::vector<BranchChoice> wanted;
      std::size_t best = 0, worst = 0;
      for (std::size_t k = 1; k < a.size(); ++k) {
        if (a[k] > a[best]) best = k;
        if (a[k] < a[worst]) worst = k;
      }
      if (a[best] >= 0.5) wanted.push_back({best, 1});
      if (a[worst] < -0.5) wanted.push_back({worst, 1});
      REQUIRE((policy.choose(a) == wanted));
      if (wanted.size() == 2) REQUIRE(wanted[0].branch != wanted[1].branch);
    }
  }
}

TEST_CASE(
    "with PerGroup up to four branches give a pair whenever their rewards differ, more of them with threshold 0") {
  using namespace reward_tuner;
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  RewardHistory history;
  const auto kept = [&](const std::vector<double>& rewards, double threshold) {
    const AdvantageInput root{rewards, std::vector<std::string>(rewards.size(), "a"),
                              std::vector<std::int64_t>(rewards.size(), 0)};
    return BestAndWorst({.num_branches = static_cast<int>(rewards.size()), .threshold = threshold})
        .choose(PerGroup().advantages(root, history));
  };
  for (const double unit : {1e-6, 1.0, 1e6})
    for (const std::size_t branches : {2, 3, 4, 5, 8}) {
      for (const double odd : {1.0, -1.0}) {  // one image is better, or worse, than all others
        std::vector<double> rewards(branches, 2 * unit);
        rewards[1] += odd * unit;
        CHECK(kept(rewards, 0.5).size() == (branches <= 4 ? 2 : 1));
        CHECK(kept(rewards, 0).size() == 2);
      }
      for (int draw = 0; draw < 200; ++draw) {
        std::vector<double> rewards(branches);
        for (double& r : rewards) r = unit * normal(random);
        if (branches <= 4) REQUIRE(kept(rewards, 0.5).size() == 2);
        REQUIRE(kept(rewards, 0).size() == 2);
      }
    }
  CHECK(kept({1, 1, 1, 1, 0}, 0.5).size() == 1);
  CHECK(kept({1, 1, 1, 1, 1}, 0.5).empty());
}

TEST_CASE("BestAndWorst rejects options and advantages out of range") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(BestAndWorst({.num_branches = 1}), "[BestAndWorst] num_branches must be >= 2, got 1", Error);
  CHECK_THROWS_WITH_AS(BestAndWorst({.threshold = -0.1}), "[BestAndWorst] threshold must be >= 0, got -0.1", Error);
  CHECK_THROWS_WITH_AS(BestAndWorst({.threshold = std::nan("")}), "[BestAndWorst] threshold must be >= 0, got nan",
                       Error);
  CHECK_THROWS_WITH_AS(BestAndWorst({.positive_weight = -1}), "[BestAndWorst] positive_weight must be >= 0, got -1",
                       Error);
  CHECK_THROWS_WITH_AS(BestAndWorst({.negative_weight = INFINITY}),
                       "[BestAndWorst] negative_weight must be >= 0, got inf", Error);
  CHECK_THROWS_WITH_AS(BestAndWorst().choose({1, 2}), "[BestAndWorst] expected the advantages of 3 branches, got 2",
                       Error);
  CHECK_THROWS_WITH_AS(BestAndWorst().choose({1, std::nan(""), 2}),
                       "[BestAndWorst] expected finite advantages, got nan", Error);
}
