// Rewards standardized over their prompt's images of this round and the rounds before.
#include <tests/advantages/advantage_laws.hpp>

#include <map>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/advantages/history.hpp>

TEST_CASE("History keeps the laws of advantages") { check_advantage_laws<reward_tuner::History>("History"); }

TEST_CASE("History with one round remembered, by hand") {
  using namespace reward_tuner;
  using Rounds = std::map<std::string, std::vector<std::vector<double>>>;
  RewardHistory history;
  const History policy({.rounds = 1, .epsilon = 0.5});
  // "a": mean 2, unbiased variance 2/1; "b": one number alone; mean square of the round 35/3
  const double root = std::sqrt(2.0) + 0.5 * std::sqrt(35.0 / 3);
  check_close(policy.advantages(round_of({1, 3, 5}, {"a", "a", "b"}), history), {-1 / root, 1 / root, 0});
  CHECK(history.rounds == Rounds{{"a", {{1, 3}}}, {"b", {{5}}}});
  // "a": {1, 3, 5}, mean 3, unbiased variance 8/2; "b" is not drawn and forgotten
  check_close(policy.advantages(round_of_one({5}, "a"), history), {2 / (2 + 0.5 * 5)});
  CHECK(history.rounds == Rounds{{"a", {{5}}}});
  // "a": {5, 9}; the rewards remembered are raw; mean square of the round 65
  check_close(policy.advantages(round_of({9, 7}, {"a", "b"}), history),
              {2 / (std::sqrt(8.0) + 0.5 * std::sqrt(65.0)), 0});
  CHECK(history.rounds == Rounds{{"a", {{9}}}, {"b", {{7}}}});
}

TEST_CASE("History is a list of the latest rounds, each with its prompts") {
  using namespace reward_tuner;
  for (const int rounds : {0, 1, 3, 8}) {
    std::mt19937 random(5);
    const History policy({.rounds = rounds, .clamp = 0});
    RewardHistory history;
    std::vector<AdvantageInput> earlier;
    for (int round = 0; round < 30; ++round) {
      const AdvantageInput input = random_round(random, 6, 9);  // most prompts miss some rounds
      std::vector<double> wanted;
      double square = 0;
      for (const double r : input.rewards) square += r * r / 6;
      for (std::size_t i = 0; i < input.rewards.size(); ++i) {
        std::vector<double> all;
        const auto add = [&](const AdvantageInput& one) {
          for (std::size_t j = 0; j < one.rewards.size(); ++j)
            if (one.prompts[j] == input.prompts[i]) all.push_back(one.rewards[j]);
        };
        add(input);
        for (int back = 1; back <= std::min(rounds, round); ++back)
          add(earlier[static_cast<std::size_t>(round - back)]);
        const double n = static_cast<double>(all.size());
        double mean = 0, variance = 0;
        for (const double r : all) mean += r / n;
        for (const double r : all) variance += (r - mean) * (r - mean) / (n - 1);
        wanted.push_back(
            all.size() == 1 ? 0 : (input.rewards[i] - mean) / (std::sqrt(variance) + 1e-8 * std::sqrt(square)));
      }
      check_close(policy.advantages(input, history), wanted, 1e-9);
      earlier.push_back(input);
      for (const auto& [prompt, kept] : history.rounds) {
        REQUIRE((!kept.empty() && static_cast<int>(kept.size()) <= rounds));
        REQUIRE_FALSE(kept.front().empty());
      }
    }
  }
}

TEST_CASE("History stays bounded however many prompts there are") {
  using namespace reward_tuner;
  RewardHistory history;
  const History policy({.rounds = 4});
  for (int round = 0; round < 50; ++round)
    policy.advantages(round_of({1, 2}, {"new " + std::to_string(round), "always"}), history);
  CHECK(history.rounds.size() == 5);
  CHECK(history.rounds.at("always").size() == 4);
}

TEST_CASE("History rejects a negative number of rounds") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(History({.rounds = -1}), "[History] rounds must be >= 0, got -1", Error);
}
