// Sampling a round, independent of the surrogate: the number of images, and their rewards.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/tuner/micro_batches.hpp>
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

/// Throws unless every rank has something to sample.
template <class Parts>
void check_micro_batches(const Parts& parts, std::int64_t images) {
  const int micro = parts.options.engine.micro_batch;
  check_micro_batches(parts.ranks, micro > 0 ? (images + micro - 1) / micro : 1, images);
}

/// Samples a round's images and scores them. `sample` is called with what SamplingOptions::finished shall be, and
/// returns them. A reward that scores later is asked micro-batch by micro-batch meanwhile, unless it looks at whole
/// groups.
template <DiffusionPipeline Pipeline, class Parts, class Sample>
std::pair<Transitions, RewardValues> sample_and_score(Pipeline& pipeline, const Parts& parts, Sample sample) {
  const EngineOptions& engine = parts.options.engine;
  const std::int64_t chunk = engine.decode_batch > 0 ? engine.decode_batch : engine.micro_batch;
  if (scores_later(parts.reward) && !per_group(parts.reward)) {
    LaterRewards later(pipeline, parts.reward, chunk, parts.ranks);
    Transitions all = sample([&](const CleanSamples& samples) { later.add(samples); });
    return {std::move(all), later.finish()};
  }
  Transitions all = sample({});
  const CleanSamples samples{all.clean, all.setup.condition.prompts, all.seeds,
                             prompt_groups(all.setup.condition.prompts)};
  return {std::move(all), reward_values(pipeline, parts.reward, samples, chunk, parts.ranks)};
}

/// What a round knows of its images: those that take part, of the N that were sampled.
struct RoundRewards {
  AdvantageInput scored;  ///< of the n that take part
  Tensor images;          ///< int64 [n] which of the N they are
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

/// Writes the rewards of all images into the report, with a skip_reason if a reward is not finite. An image
/// whose score could not be had takes no part; with branches none of its root does, since they are chosen from among
/// each other.
template <class Parts>
RoundRewards round_rewards(const Parts& parts, const Transitions& all, const RewardValues& rewards,
                           UpdateReport& report) {
  const std::vector<std::string>& prompts = all.setup.condition.prompts;
  const std::vector<std::int64_t> groups = prompt_groups(prompts);
  report.images = all.size();
  report.failed_scores = rewards.count_failed();
  report.towers = rewards.towers;
  report.components = rewards.components;
  const auto count = static_cast<double>(report.images - report.failed_scores);
  for (std::size_t i = 0; i < rewards.values.size(); ++i)
    if (!rewards.failed[i]) report.reward += rewards.values[i] / count;
  if (!rewards.finite()) report.skip_reason = "the reward is not finite";
  if (report.failed_scores == report.images) {
    report.reward = std::numeric_limits<double>::quiet_NaN();
    report.skip_reason = "none of the " + std::to_string(report.images) + " images has a score";
  }
  std::size_t root = 1;  // images that take part together or not at all
  if constexpr (Parts::Rules::kAdvantages) root = static_cast<std::size_t>(parts.branching.branches());
  RoundRewards out;
  std::vector<std::int64_t> images;
  for (std::size_t begin = 0; begin < rewards.values.size(); begin += root) {
    const auto first = rewards.failed.begin() + static_cast<std::ptrdiff_t>(begin);
    if (std::find(first, first + static_cast<std::ptrdiff_t>(root), true) != first + static_cast<std::ptrdiff_t>(root))
      continue;
    for (std::size_t i = begin; i < begin + root; ++i) {
      images.push_back(static_cast<std::int64_t>(i));
      out.scored.rewards.push_back(rewards.values[i]);
      out.scored.prompts.push_back(prompts[i]);
      out.scored.groups.push_back(groups[i]);
    }
  }
  for (const RewardTerm& term : rewards.terms) {
    RewardTerm& own = out.scored.terms.emplace_back(RewardTerm{.weight = term.weight});
    for (const std::int64_t i : images) own.values.push_back(term.values[static_cast<std::size_t>(i)]);
  }
  report.zero_std_ratio = zero_std_ratio(out.scored.rewards, out.scored.groups);
  out.images = at::tensor(images, at::kLong);
  if (images.empty() && report.skip_reason.empty())
    report.skip_reason = "each root of the " + std::to_string(report.images) + " images has a branch without a score";
  return out;
}

}  // namespace reward_tuner
