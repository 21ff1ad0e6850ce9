// Rounds that teach nothing: why one kept no image, and which can keep none whatever their rewards will be.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/tuner/round_sampling.hpp>
#include <reward_tuner/tuner/round_selection.hpp>

namespace reward_tuner {

/// Why a round whose rewards are finite kept no image. `advantages`: empty for an objective without.
inline std::string idle_reason(const std::vector<double>& rewards, const std::vector<double>& advantages,
                               std::string_view advantage, std::string_view branching) {
  const std::string count = std::to_string(rewards.size());
  if (std::ranges::all_of(rewards, [&](double r) { return r == rewards.front(); }))
    return "all " + count + " rewards are equal (" + std::to_string(rewards.front()) + ")";
  if (advantages.empty()) return "the weights of all " + count + " images are 0";
  if (std::ranges::all_of(advantages, [](double a) { return a == 0; }))
    return "the advantages by " + std::string(advantage) + " of all " + count +
           " images are 0: those that it compares have equal rewards";
  return "the branching " + std::string(branching) + " chose none of the " + count +
         " images: no advantage is far enough from 0";
}

namespace detail {

inline constexpr int kProbes = 6;

/// Rewards that differ in one of several ways, among them within a root, between roots, and as far as can be.
inline std::vector<double> probe_rewards(std::size_t count, int way) {
  constexpr double kGolden = 0.6180339887498949;  // its multiples spread evenly over [0, 1) without a period
  std::vector<double> rewards(count, 0.0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(i);
    if (way == 0) rewards[i] = x / static_cast<double>(count);
    if (way == 1) rewards[i] = i == 0 ? 1 : 0;
    if (way == 2) rewards[i] = i == 0 ? -1 : 0;
    if (way == 3) rewards[i] = i == 0 ? 1 : i == 1 ? -1 : 0;
    if (way == 4) rewards[i] = i % 2 == 0 ? 1 : -1;
    if (way == 5) rewards[i] = x * kGolden - std::floor(x * kGolden);
  }
  return rewards;
}

/// Whether a round with these rewards would prefer an image to others.
template <class Parts>
bool prefers_any(const Parts& parts, const AdvantageInput& input, RewardHistory& history) {
  if constexpr (Parts::Rules::kAdvantages) {
    Round round;
    return select_branches<typename Parts::Objective>(round, parts.advantage.advantages(input, history),
                                                      parts.branching)
               .numel() > 0;
  } else {
    const std::vector<double> weights = parts.objective.weights(input.rewards, input.groups);
    return std::ranges::any_of(weights, [&](double w) { return w != weights.front(); });
  }
}

}  // namespace detail

/// Throws if rounds of these prompts can teach nothing: whatever the rewards, advantage and branching keep no image of
/// them (or the weights are all equal), also after many such rounds. Samples nothing. The policies are asked with
/// made-up rewards and a memory that is thrown away, so the rule is their own.
/// Example: groups of one image under PerGroup or kBest, one image under PerBatch, pairs of a rollout that never forks.
template <class Parts>
void check_can_teach(const Parts& parts, const std::vector<std::string>& prompts) {
  constexpr int kRounds = 64;  // some advantages compare with earlier rounds, once they remember enough
  const std::int64_t copies = samples_per_prompt(parts);
  std::int64_t branches = 1;
  if constexpr (Parts::Rules::kAdvantages) branches = parts.branching.branches();
  AdvantageInput input;
  for (const auto& prompt : prompts)
    input.prompts.insert(input.prompts.end(), static_cast<std::size_t>(copies * branches), prompt);
  input.groups = prompt_groups(input.prompts);
  for (int first = 0; first < detail::kProbes; ++first) {
    RewardHistory history = parts.state.history;  // what an earlier probe leaves may hide the next
    for (int round = 0; round < kRounds; ++round) {
      input.rewards = detail::probe_rewards(input.prompts.size(), (first + round) % detail::kProbes);
      if (detail::prefers_any(parts, input, history)) return;
    }
  }
  detail::fail("[RewardTuner] ", Parts::Objective::kName,
               " can learn nothing from such rounds, whatever the rewards: expected images to compare (more of "
               "round.samples_per_prompt, prompts or branches), another advantage or a lower threshold, got ",
               prompts.size(), " prompts with ", copies, " image", copies == 1 ? "" : "s", " of each in ", branches,
               " branch", branches == 1 ? "" : "es");
}

}  // namespace reward_tuner
