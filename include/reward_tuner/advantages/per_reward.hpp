// GDPO's advantage: each reward of a weighted sum compared within the images of one prompt, before they are added.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include <reward_tuner/advantages/moments.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/round_options.hpp>

namespace reward_tuner {

/// How PerReward scales.
struct PerRewardOptions {
  /// a group whose deviation of a reward is not above this share of the reward's size over the round (its root mean
  /// square) counts as one of equal rewards, > 0: where single precision ends (GDPO's code adds 1e-4 to the deviation,
  /// in reward units)
  double epsilon = 1e-6;
  double clamp = 5;  ///< advantages are held within +-clamp, >= 0; 0: no clamp (GDPO's code: none)
};
REWARD_TUNER_FIELDS(PerRewardOptions, epsilon, clamp);

/// S_i = sum_k w_k (r_ki - mean of r_k in the group)/deviation of r_k in the group, A_i = S_i/deviation of S in the
/// round: the rewards of a weighted sum are standardized one by one, with population deviation, before the sum, and
/// the sum is standardized over the round, so that its size does not grow with the number of rewards (Liu et al. 2026,
/// GDPO, arXiv 2601.05242, section 3; its subtraction of the round's mean is left out, which is 0). What a reward
/// counts for is its weight alone, neither its unit nor how far it spreads; a reward that is equal for all images of a
/// group counts for nothing there. Rewards that are no weighted sum are one reward.
/// Groups of one, and of equal rewards, give 0.
/// Errors: numbers of rewards, prompts, groups and terms' values that differ, rewards that are not finite.
class PerReward {
 public:
  using Role = AdvantageRole;
  using Options = PerRewardOptions;
  static constexpr std::string_view kName = "per_reward";
  /// images of each prompt if RoundOptions::samples_per_prompt is 0
  static constexpr int kDefaultGroup = kComparedImages;

  explicit PerReward(PerRewardOptions options = {}) : options_(options) {
    detail::check_scaling("PerReward", options_.epsilon, options_.clamp);
  }
  const PerRewardOptions& options() const { return options_; }

  std::vector<double> advantages(const AdvantageInput& input, RewardHistory&) const {
    detail::check_rewards("PerReward", input);
    std::vector<double> sums(input.rewards.size(), 0.0);
    if (input.terms.empty()) add(sums, {1, input.rewards}, input.groups);
    for (const RewardTerm& term : input.terms) {
      AdvantageInput alone{term.values, input.prompts, input.groups};
      detail::check_rewards("PerReward", alone);
      add(sums, term, input.groups);
    }
    const detail::Moments none;  // of each group's sum, and so of the round's: a rounded mean would make 0 another
    const long double size = detail::size_of(sums);
    return detail::standardize(
        sums, [&](std::size_t) -> const detail::Moments& { return none; }, [&](const detail::Moments&) { return size; },
        options_.clamp);
  }

 private:
  void add(std::vector<double>& sums, const RewardTerm& term, const std::vector<std::int64_t>& groups) const {
    const long double least = options_.epsilon * detail::size_of(term.values);
    std::map<std::int64_t, detail::Moments> of_group;
    for (const auto& [group, values] : detail::rewards_by(groups, term.values))
      of_group[group] = detail::moments(values);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const detail::Moments& m = of_group.at(groups[i]);
      if (m.deviation() > least)
        sums[i] += static_cast<double>(term.weight * (term.values[i] - m.mean) / m.deviation());
    }
  }

  PerRewardOptions options_;
};
static_assert(AdvantagePolicy<PerReward>);

}  // namespace reward_tuner
