// What every advantage promises, checked by each one's test.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>

/// A round whose groups are its prompts.
inline reward_tuner::AdvantageInput round_of(std::vector<double> rewards, std::vector<std::string> prompts) {
  reward_tuner::AdvantageInput input{.rewards = std::move(rewards), .prompts = std::move(prompts), .groups = {}};
  for (const std::string& prompt : input.prompts)
    input.groups.push_back(std::find(input.prompts.begin(), input.prompts.end(), prompt) - input.prompts.begin());
  return input;
}

inline reward_tuner::AdvantageInput round_of_one(std::vector<double> rewards, const std::string& prompt = "a fox") {
  const std::size_t n = rewards.size();
  return round_of(std::move(rewards), std::vector<std::string>(n, prompt));
}

/// `n` normal rewards of prompts "0".."prompts-1", drawn with replacement.
inline reward_tuner::AdvantageInput random_round(std::mt19937& random, std::size_t n, int prompts, double scale = 1) {
  std::normal_distribution<double> normal(0.3, scale);
  std::uniform_int_distribution<int> prompt(0, prompts - 1);
  std::vector<double> rewards(n);
  std::vector<std::string> names(n);
  for (std::size_t i = 0; i < n; ++i) rewards[i] = normal(random), names[i] = std::to_string(prompt(random));
  return round_of(rewards, names);
}

inline void check_close(const std::vector<double>& found, const std::vector<double>& wanted, double tolerance = 1e-12) {
  REQUIRE(found.size() == wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(found[i] - wanted[i]) <= tolerance * std::max(1.0, std::abs(wanted[i])));
  }
}

/// Laws of a policy called `name` in its errors, with and without a clamp.
template <class Policy>
void check_advantage_laws(const std::string& name, typename Policy::Options options = {}) {
  using namespace reward_tuner;
  const Policy policy(options);
  options.clamp = 0;
  const Policy unclamped(options);
  std::mt19937 random(7);

  SUBCASE("equal rewards give exactly 0, also where their sum rounds, and so does a single image") {
    for (const double r : {0.0, 0.1, -1.0 / 3, 1e-300, 1e300, 123456.789})
      for (const std::size_t n : {1, 2, 3, 7, 10, 49}) {
        RewardHistory history;
        for (int round = 0; round < 3; ++round)
          for (const double a : unclamped.advantages(round_of_one(std::vector<double>(n, r)), history)) REQUIRE(a == 0);
      }
    RewardHistory history;
    CHECK(policy.advantages({}, history).empty());
    CHECK(history == RewardHistory{});
  }

  SUBCASE("finite rewards give finite advantages, however large, small or close") {
    constexpr double kMost = std::numeric_limits<double>::max(), kLeast = std::numeric_limits<double>::denorm_min();
    for (const std::vector<double>& rewards : {std::vector<double>{kMost, -kMost, 0},
                                               {kMost, kMost, -kMost},
                                               {kLeast, 0, -kLeast},
                                               {1, std::nextafter(1, 2)},
                                               {1e200, 1e-200},
                                               {-1e155, 1e155, 3}}) {
      RewardHistory history;
      for (int round = 0; round < 12; ++round)
        for (const double a : unclamped.advantages(round_of_one(rewards), history)) REQUIRE(std::isfinite(a));
    }
  }

  SUBCASE("a reward in another unit gives the same advantages, however far its mean is from 0") {
    for (const double mean : {0.0, 0.3, -40.0})
      for (const double unit : {1e-3, 1e3, 1e12, 1e-12}) {
        RewardHistory history, other;
        for (int round = 0; round < 12; ++round) {
          AdvantageInput input = random_round(random, 40, 3), scaled = input;
          for (std::size_t i = 0; i < 40; ++i) scaled.rewards[i] = unit * (input.rewards[i] += mean);
          check_close(unclamped.advantages(scaled, other), unclamped.advantages(input, history), 1e-11);
        }
      }
  }

  SUBCASE("rewards that differ by rounding in single precision alone are hardly a signal") {
    if (name == "History") return;  // B2-DiffuRL's number is below single precision
    RewardHistory history;
    const double next = std::nextafter(0.3f, 1.0f);
    for (int round = 0; round < 12; ++round)
      for (const double a : unclamped.advantages(round_of_one({0.3f, next, 0.3f, next}), history))
        REQUIRE(std::abs(a) < 0.1);
  }

  SUBCASE("the order of the images does not change a bit, and better images of a prompt get larger advantages") {
    RewardHistory history;
    for (int round = 0; round < 12; ++round) {
      const AdvantageInput input = random_round(random, 40, 3);
      std::vector<std::size_t> order(40);
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::shuffle(order.begin(), order.end(), random);
      AdvantageInput shuffled;
      for (const std::size_t i : order) {
        shuffled.rewards.push_back(input.rewards[i]);
        shuffled.prompts.push_back(input.prompts[i]);
        shuffled.groups.push_back(input.groups[i]);
      }
      RewardHistory other = history;
      const std::vector<double> b = unclamped.advantages(shuffled, other), a = unclamped.advantages(input, history);
      for (std::size_t i = 0; i < order.size(); ++i) REQUIRE(b[i] == a[order[i]]);
      for (std::size_t i = 0; i < 40; ++i)
        for (std::size_t j = 0; j < 40; ++j)
          if (input.prompts[i] == input.prompts[j] && input.rewards[i] > input.rewards[j]) REQUIRE(a[i] > a[j]);
    }
  }

  SUBCASE("advantages are held within the clamp, which changes nothing else") {
    std::vector<double> rewards(100, 0.0);
    for (std::size_t i = 0; i < rewards.size(); ++i) rewards[i] = 0.01 * static_cast<double>(i % 7);
    rewards[31] = 1000;
    RewardHistory first, second;
    const std::vector<double> a = policy.advantages(round_of_one(rewards), first),
                              b = unclamped.advantages(round_of_one(rewards), second);
    CHECK(b[31] > 5);
    for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(a[i] == std::clamp(b[i], -5.0, 5.0));
    CHECK(first == second);
  }

  SUBCASE("the history is the only state: copies of it give copies of the answer") {
    RewardHistory one, two;
    for (int round = 0; round < 5; ++round) {
      const AdvantageInput input = random_round(random, 20, 4);
      CHECK(policy.advantages(input, one) == Policy(policy.options()).advantages(input, two));
      CHECK(one == two);
    }
  }

  SUBCASE("sizes that differ and rewards that are not finite are named errors, and the history stays as it was") {
    RewardHistory history;
    policy.advantages(random_round(random, 20, 4), history);
    const RewardHistory before = history;
    AdvantageInput input = round_of_one({1, 2, 3});
    input.prompts.pop_back();
    CHECK_THROWS_WITH_AS(
        policy.advantages(input, history),
        ("[" + name + "] expected a prompt and a group for each of 3 rewards, got 2 prompts and 3 groups").c_str(),
        Error);
    input = round_of_one({1, 2, 3});
    input.groups.clear();
    CHECK_THROWS_WITH_AS(
        policy.advantages(input, history),
        ("[" + name + "] expected a prompt and a group for each of 3 rewards, got 3 prompts and 0 groups").c_str(),
        Error);
    CHECK_THROWS_WITH_AS(policy.advantages(round_of_one({1, std::nan(""), 3}), history),
                         ("[" + name + "] expected finite rewards, got nan for image 1, \"a fox\"").c_str(), Error);
    CHECK_THROWS_WITH_AS(policy.advantages(round_of_one({1, 2, INFINITY}), history),
                         ("[" + name + "] expected finite rewards, got inf for image 2, \"a fox\"").c_str(), Error);
    CHECK(history == before);
  }

  SUBCASE("epsilon and clamp out of range are named errors") {
    options.epsilon = 0;
    CHECK_THROWS_WITH_AS(Policy{options}, ("[" + name + "] epsilon must be > 0, got 0").c_str(), Error);
    options.epsilon = INFINITY;
    CHECK_THROWS_WITH_AS(Policy{options}, ("[" + name + "] epsilon must be > 0, got inf").c_str(), Error);
    options.epsilon = 1e-6;
    options.clamp = -1;
    CHECK_THROWS_WITH_AS(Policy{options}, ("[" + name + "] clamp must be >= 0 (0: none), got -1").c_str(), Error);
    options.clamp = std::nan("");
    CHECK_THROWS_WITH_AS(Policy{options}, ("[" + name + "] clamp must be >= 0 (0: none), got nan").c_str(), Error);
  }
}
