// GRPO's advantage: rewards compared within the images of one prompt of one round.
#pragma once
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

/// Whose deviation divides.
enum class GroupScale {
  kGroup,  ///< the group's own (Shao et al. 2024, DeepSeekMath, section 4.1)
  /// that of all rewards of the round: groups whose images hardly differ are not amplified (an option of Flow-GRPO's
  /// code)
  kBatch,
};

/// How PerGroup scales.
struct PerGroupOptions {
  GroupScale scale = GroupScale::kGroup;  ///< whose deviation divides
  /// share of the size of the round's rewards (their root mean square) that is added to the deviation, > 0: where
  /// single precision ends (Flow-GRPO's code: 1e-4, in reward units)
  double epsilon = 1e-6;
  double clamp = 5;  ///< advantages are held within +-clamp, >= 0; 0: no clamp (Flow-GRPO's code: 5)
};
REWARD_TUNER_FIELDS(PerGroupOptions, scale, epsilon, clamp);

/// A_i = (r_i - mean of the group)/(deviation + epsilon * size), population deviation. The reward's unit does not
/// matter. Groups of one, and of equal rewards,
/// give 0. Rewards that are equal within each group carry no signal here.
/// Errors: numbers of rewards, prompts and groups that differ, rewards that are not finite.
class PerGroup {
 public:
  using Role = AdvantageRole;
  using Options = PerGroupOptions;
  static constexpr std::string_view kName = "per_group";
  /// images of each prompt if RoundOptions::samples_per_prompt is 0
  static constexpr int kDefaultGroup = kComparedImages;

  explicit PerGroup(PerGroupOptions options = {}) : options_(options) {
    detail::check_scaling("PerGroup", options_.epsilon, options_.clamp);
  }
  const PerGroupOptions& options() const { return options_; }

  std::vector<double> advantages(const AdvantageInput& input, RewardHistory&) const {
    detail::check_rewards("PerGroup", input);
    const long double batch = detail::moments(input.rewards).deviation(), size = detail::size_of(input.rewards);
    std::map<std::int64_t, detail::Moments> of_group;
    for (const auto& [group, rewards] : detail::rewards_by(input.groups, input.rewards))
      of_group[group] = detail::moments(rewards);
    return detail::standardize(
        input.rewards, [&](std::size_t i) -> const detail::Moments& { return of_group.at(input.groups[i]); },
        [&](const detail::Moments& m) {
          return (options_.scale == GroupScale::kBatch ? batch : m.deviation()) + options_.epsilon * size;
        },
        options_.clamp);
  }

 private:
  PerGroupOptions options_;
};
static_assert(AdvantagePolicy<PerGroup>);

}  // namespace reward_tuner
