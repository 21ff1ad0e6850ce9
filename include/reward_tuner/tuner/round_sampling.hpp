// Sampling a round, independent of the surrogate: the number of images, and their rewards.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// Images of every prompt: as the options say; else one, or a group where the reward, the advantage or the objective
/// compares the images of a prompt. Branches of a root are such a group already.
template <class Parts>
std::int64_t samples_per_prompt(const Parts& parts) {
  if (const int wanted = parts.objective.options().round.samples_per_prompt; wanted > 0) return wanted;
  if constexpr (Parts::Rules::kAdvantages)
    if (parts.branching.branches() > 1) return 1;
  return std::max({per_group(parts.reward) ? kComparedImages : 1,
                   ObjectiveTraits<typename Parts::Objective>::default_group(parts.objective),
                   AdvantageTraits<typename Parts::Roles::Advantage>::kDefaultGroup});
}

/// The rewards of a round.
struct RoundRewards {
  RewardValues rewards;
  std::vector<std::int64_t> groups;  ///< [N] equal for images of one prompt
};

/// The share of the groups of several images whose images all have one reward, which teaches nothing to methods that
/// compare them; 0 without such groups.  rewards [N], groups [N]
inline double zero_std_ratio(const std::vector<double>& rewards, const std::vector<std::int64_t>& groups) {
  struct Group {
    std::int64_t images = 0;
    double reward = 0;  // of the first
    bool equal = true;
  };
  std::map<std::int64_t, Group> all;
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    Group& group = all[groups[i]];
    if (group.images++ == 0) group.reward = rewards[i];
    group.equal = group.equal && rewards[i] == group.reward;
  }
  double several = 0, equal = 0;
  for (const auto& [id, group] : all)
    if (group.images > 1) ++several, equal += group.equal ? 1 : 0;
  return several > 0 ? equal / several : 0;
}

/// Scores all images and writes their rewards into the report, with a skip_reason if a reward is not finite.
template <DiffusionPipeline Pipeline, class Parts>
RoundRewards score_round(Pipeline& pipeline, const Parts& parts, const Transitions& all, UpdateReport& report) {
  std::vector<std::int64_t> groups = prompt_groups(all.setup.condition.prompts);
  const CleanSamples samples{all.clean, all.setup.condition.prompts, all.seeds, groups};
  RewardValues rewards = reward_values(pipeline, parts.reward, samples, parts.options.engine.decode_batch);
  report.images = all.size();
  report.towers = rewards.towers;
  for (const double value : rewards.values) report.reward += value / static_cast<double>(rewards.values.size());
  report.components = rewards.components;
  report.zero_std_ratio = zero_std_ratio(rewards.values, groups);
  if (!rewards.finite()) report.skip_reason = "the reward is not finite";
  return {std::move(rewards), std::move(groups)};
}

}  // namespace reward_tuner
