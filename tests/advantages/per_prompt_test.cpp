// Rewards standardized over the latest ones of their prompt.
#include <tests/advantages/advantage_laws.hpp>

#include <deque>
#include <map>
#include <set>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/advantages/per_prompt.hpp>

TEST_CASE("PerPrompt keeps the laws of advantages") { check_advantage_laws<reward_tuner::PerPrompt>("PerPrompt"); }

TEST_CASE("PerPrompt with four numbers remembered, by hand") {
  using namespace reward_tuner;
  RewardHistory history;
  const PerPrompt policy({.window = 4, .min_count = 3, .epsilon = 0.5});
  // 2 of "a", 1 of "b": both use the round's, mean 3, variance (4 + 0 + 4)/3, mean square 35/3
  const double deviation = std::sqrt(8.0 / 3), first = deviation + 0.5 * std::sqrt(35.0 / 3);
  check_close(policy.advantages(round_of({1, 3, 5}, {"a", "a", "b"}), history), {-2 / first, 0, 2 / first});
  CHECK(history.rounds == std::map<std::string, std::vector<std::vector<double>>>{{"a", {{1, 3}}}, {"b", {{5}}}});
  // "a" has {1, 3, 5}: mean 3, variance 8/3; "b" has {5, 1}: the round's, mean 3, variance 4; mean square 13
  const double second = 0.5 * std::sqrt(13.0);
  check_close(policy.advantages(round_of({5, 1}, {"a", "b"}), history), {2 / (deviation + second), -2 / (2 + second)});
  // "a" has {3, 5, 0, 8}: mean 4, variance (1 + 1 + 16 + 16)/4; mean square of the round 32
  const double third = std::sqrt(8.5) + 0.5 * std::sqrt(32.0);
  check_close(policy.advantages(round_of_one({0, 8}, "a"), history), {-4 / third, 4 / third});
  CHECK(history.rounds ==
        std::map<std::string, std::vector<std::vector<double>>>{{"a", {{3}, {5}, {0, 8}}}, {"b", {{5}, {1}}}});
}

TEST_CASE("PerPrompt is DDPO's double-ended queue as long as no round exceeds it") {
  using namespace reward_tuner;
  std::mt19937 random(3);
  for (const int window : {1, 5, 16, 32}) {
    const int min_count = std::min(window, 16);
    const PerPrompt policy({.window = window, .min_count = min_count, .clamp = 0});
    RewardHistory history;
    std::map<std::string, std::deque<double>> queues;
    for (int round = 0; round < 60; ++round) {
      AdvantageInput input = random_round(random, 12, 5);
      if (window < 12) {  // one image a prompt
        std::set<std::string> seen;
        AdvantageInput fewer;
        for (std::size_t i = 0; i < 12; ++i)
          if (seen.insert(input.prompts[i]).second)
            fewer.rewards.push_back(input.rewards[i]), fewer.prompts.push_back(input.prompts[i]);
        input = round_of(fewer.rewards, fewer.prompts);
      }
      const auto mean_and_deviation = [](const auto& values) {
        double mean = 0, variance = 0;
        for (const double r : values) mean += r / static_cast<double>(values.size());
        for (const double r : values) variance += (r - mean) * (r - mean) / static_cast<double>(values.size());
        return std::pair(mean, std::sqrt(variance));
      };
      for (std::size_t i = 0; i < input.rewards.size(); ++i) {
        auto& queue = queues[input.prompts[i]];
        queue.push_back(input.rewards[i]);
        if (static_cast<int>(queue.size()) > window) queue.pop_front();
      }
      std::vector<double> wanted;
      double square = 0;
      for (const double r : input.rewards) square += r * r / static_cast<double>(input.rewards.size());
      for (std::size_t i = 0; i < input.rewards.size(); ++i) {
        const auto& queue = queues[input.prompts[i]];
        const auto [mean, deviation] =
            static_cast<int>(queue.size()) < min_count ? mean_and_deviation(input.rewards) : mean_and_deviation(queue);
        wanted.push_back((input.rewards[i] - mean) / (deviation + 1e-6 * std::sqrt(square)));
      }
      check_close(policy.advantages(input, history), wanted, 1e-9);
      for (const auto& [prompt, rounds] : history.rounds) {
        std::vector<double> all;
        for (const auto& r : rounds) {
          REQUIRE_FALSE(r.empty());
          all.insert(all.end(), r.begin(), r.end());
        }
        REQUIRE(all == std::vector<double>(queues[prompt].begin(), queues[prompt].end()));
      }
    }
  }
}

TEST_CASE("a round larger than the window counts as a whole, and no more than the window is remembered") {
  using namespace reward_tuner;
  RewardHistory history;
  const PerPrompt policy({.window = 3, .min_count = 2, .epsilon = 0.5});
  policy.advantages(round_of_one({100, -100}), history);
  const double root = 2 + 0.5 * std::sqrt(8.0);
  check_close(policy.advantages(round_of_one({0, 4, 0, 4}), history), {-2 / root, 2 / root, -2 / root, 2 / root});
  CHECK(history.rounds.at("a fox") == std::vector<std::vector<double>>{{4, 0, 4}});
}

TEST_CASE("PerPrompt rejects a window or a count out of range") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(PerPrompt({.window = 0}), "[PerPrompt] window must be >= 1, got 0", Error);
  CHECK_THROWS_WITH_AS(PerPrompt({.min_count = 0}), "[PerPrompt] min_count must be in 1..window, 32, got 0", Error);
  CHECK_THROWS_WITH_AS(PerPrompt({.window = 8, .min_count = 9}), "[PerPrompt] min_count must be in 1..window, 8, got 9",
                       Error);
}
