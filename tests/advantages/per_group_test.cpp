// Rewards compared within their group.
#include <tests/advantages/advantage_laws.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/advantages/per_group.hpp>

TEST_CASE("PerGroup keeps the laws of advantages") {
  check_advantage_laws<reward_tuner::PerGroup>("PerGroup");
  static_assert(reward_tuner::PerGroup::kDefaultGroup == 8);
}

TEST_CASE("PerGroup with the batch's deviation keeps the laws of advantages") {
  check_advantage_laws<reward_tuner::PerGroup>("PerGroup", {.scale = reward_tuner::GroupScale::kBatch});
}

TEST_CASE("PerGroup compares within groups, not prompts, and divides by the deviation of the group or of the round") {
  using namespace reward_tuner;
  RewardHistory history;
  AdvantageInput input = round_of({1, 3, 10, 10, 50, 7, 9}, std::vector<std::string>(7, "one prompt"));
  input.groups = {4, 4, -1, -1, 0, 9, 9};  // means 2, 10, 50, 8; deviations 1, 0, 0, 1
  // sum of squares 1 + 9 + 100 + 100 + 2500 + 49 + 81 = 2840
  const double share = 0.25 * std::sqrt(2840.0 / 7), own = 1 / (1 + share);
  check_close(PerGroup({.epsilon = 0.25}).advantages(input, history), {-own, own, 0, 0, 0, -own, own});
  // mean 90/7
  const double deviation = std::sqrt(2840.0 / 7 - 90.0 * 90.0 / 49) + share;
  check_close(PerGroup({.scale = GroupScale::kBatch, .epsilon = 0.25}).advantages(input, history),
              {-1 / deviation, 1 / deviation, 0, 0, 0, -1 / deviation, 1 / deviation});
  CHECK(history == RewardHistory{});
}

TEST_CASE("advantages of a group sum to 0; a reward shared by the whole group teaches nothing") {
  using namespace reward_tuner;
  std::mt19937 random(11);
  RewardHistory history;
  for (const GroupScale scale : {GroupScale::kGroup, GroupScale::kBatch}) {
    AdvantageInput input = random_round(random, 64, 6);
    const std::vector<double> a = PerGroup({.scale = scale, .clamp = 0}).advantages(input, history);
    std::map<std::string, double> sums;
    for (std::size_t i = 0; i < a.size(); ++i) sums[input.prompts[i]] += a[i];
    for (const auto& [prompt, sum] : sums) CHECK(std::abs(sum) < 1e-12);
    for (std::size_t i = 0; i < a.size(); ++i) input.rewards[i] = 0.1 * static_cast<double>(input.groups[i]);
    for (const double x : PerGroup({.scale = scale}).advantages(input, history)) CHECK(x == 0);
  }
}
