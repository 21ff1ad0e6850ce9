// Each reward of a weighted sum compared within its group.
#include <tests/advantages/advantage_laws.hpp>

#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/advantages/per_reward.hpp>

namespace {

using namespace reward_tuner;

/// A round with these terms, whose rewards are their weighted sum.
AdvantageInput round_of_terms(std::vector<RewardTerm> terms, const std::vector<std::string>& prompts) {
  std::vector<double> rewards(prompts.size(), 0.0);
  for (const RewardTerm& term : terms)
    for (std::size_t i = 0; i < rewards.size(); ++i) rewards[i] += term.weight * term.values[i];
  AdvantageInput input = round_of(rewards, prompts);
  input.terms = std::move(terms);
  return input;
}

}  // namespace

TEST_CASE("PerReward keeps the laws of advantages") {
  check_advantage_laws<PerReward>("PerReward");
  static_assert(PerReward::kDefaultGroup == 8);
}

TEST_CASE("PerReward standardizes each reward in its group, adds them by weight, and scales to the round") {
  RewardHistory history;
  // group a: (1, 3) -> (-1, 1) and (5, 5) -> 0; group b: (0, 8) -> (-1, 1) and (2, 1) -> (1, -1)
  const AdvantageInput input = round_of_terms({{2, {1, 3, 0, 8}}, {0.5, {5, 5, 2, 1}}}, {"a", "a", "b", "b"});
  const double size = std::sqrt((4 + 4 + 2.25 + 2.25) / 4);  // sums -2, 2, -1.5, 1.5
  check_close(PerReward().advantages(input, history), {-2 / size, 2 / size, -1.5 / size, 1.5 / size});
  CHECK(history == RewardHistory{});
}

TEST_CASE("rewards that PerGroup's sum collapses stay apart") {
  // the paper's example of section 2: two rewards of 0 and 1; (0, 1) and (0, 2) are the same to a standardized sum
  const auto of = [](const auto& policy, std::vector<double> first, std::vector<double> second) {
    RewardHistory history;
    const auto one = round_of_terms({{1, first}, {1, second}}, {"a", "a"});
    return policy.advantages(one, history);
  };
  check_close(of(PerGroup(), {0, 1}, {0, 0}), of(PerGroup(), {0, 1}, {0, 1}), 1e-5);
  RewardHistory history;
  const AdvantageInput both = round_of_terms({{1, {0, 1, 0, 1}}, {1, {0, 0, 0, 1}}}, {"a", "a", "b", "b"});
  const std::vector<double> a = PerReward().advantages(both, history);
  CHECK(a[3] == doctest::Approx(2 * a[1]));
}

TEST_CASE("a reward counts by its weight: neither its unit nor its spread matters, its sign does") {
  std::mt19937 random(3);
  RewardHistory history;
  const AdvantageInput first = random_round(random, 40, 5), second = random_round(random, 40, 5);
  const auto with = [&](double weight, double unit, double shift) {
    RewardTerm other{weight, second.rewards};
    for (double& value : other.values) value = unit * value + shift;
    AdvantageInput input = round_of_terms({{1, first.rewards}, other}, first.prompts);
    return PerReward({.clamp = 0}).advantages(input, history);
  };
  const std::vector<double> plain = with(0.5, 1, 0);
  check_close(with(0.5, 1000, 70), plain, 1e-9);
  check_close(with(-0.5, -1, 0), plain, 1e-12);
  CHECK(std::abs(with(1, 1, 0)[0] - plain[0]) > 1e-3);
}

TEST_CASE("terms that do not fit the rewards are named errors") {
  RewardHistory history;
  AdvantageInput input = round_of_one({1, 2, 3});
  input.terms = {{1, {1, 2}}};
  CHECK_THROWS_WITH_AS(PerReward().advantages(input, history),
                       "[PerReward] expected a prompt and a group for each of 2 rewards, got 3 prompts and 3 groups",
                       Error);
  input.terms = {{1, {1, 2, NAN}}};
  CHECK_THROWS_WITH_AS(PerReward().advantages(input, history),
                       "[PerReward] expected finite rewards, got nan for image 2, \"a fox\"", Error);
}
