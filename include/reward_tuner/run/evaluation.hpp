// Evaluation of a model on fixed (prompt, seed) pairs: metrics, sentinels and the images themselves.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/engine/shared_work.hpp>
#include <reward_tuner/metrics/sentinels.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/run/evaluation_rewards.hpp>  // IWYU pragma: export
#include <reward_tuner/run/metric_names.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

/// One image to make. All of its noise comes from `seed`, never from the stream of the training.
struct EvaluationPair {
  std::string prompt;      ///< what to draw
  std::uint64_t seed = 0;  ///< of the start latent and of every stochastic step
  bool operator==(const EvaluationPair&) const = default;
};

/// Every prompt with the seeds first_seed .. first_seed + count - 1. All prompts come once before any comes again.
inline std::vector<EvaluationPair> evaluation_pairs(const std::vector<std::string>& prompts, int count,
                                                    std::uint64_t first_seed = 0) {
  REWARD_TUNER_CHECK(!prompts.empty() && count >= 1,
                     "[Evaluation] expected prompts and at least one seed per prompt, got ", prompts.size(),
                     " prompts and ", count, " seeds");
  std::vector<EvaluationPair> pairs;
  for (int i = 0; i < count; ++i)
    for (const auto& prompt : prompts) pairs.push_back({prompt, first_seed + static_cast<std::uint64_t>(i)});
  return pairs;
}

/// How an evaluation is run.
struct EvaluationOptions {
  int batch = 16;                          ///< images at a time; the numbers do not depend on it beyond rounding
  std::function<bool()> interrupted = {};  ///< asked between batches; true aborts the evaluation
  Ranks ranks = {};                        ///< each makes some of the batches
};

/// The outcome.
struct Evaluation {
  /// name -> mean over the pairs whose images have that score; "<name>.failed_scores" counts the others, if any
  std::map<std::string, double> metrics;
  /// statistics that reveal reward hacking, see metrics/sentinels.hpp
  std::map<std::string, double> sentinels;
  Tensor images;          ///< float [N,3,H,W] on the CPU, clamped to [0,1]
  NetworkCounts network;  ///< network calls
  double seconds = 0;     ///< wall time
};

namespace detail {

/// What a reward says of some images.
struct MeasuredImages {
  std::map<std::string, double> means;   // shares of all of them; failed ones count as 0
  std::map<std::string, double> failed;  // images without that score, where the reward says which
};

inline MeasuredImages measure(const EvaluationReward& entry, const RewardInput& input, MetricNames& names) {
  MeasuredImages out;
  const RewardResult result = entry.reward.score(input);
  const auto add = [&](const std::string& key, const Tensor& values) {
    if (!result.failed.defined()) {
      out.means[key] = values.to(at::kDouble).mean().template item<double>();
      return;
    }
    const Tensor own = values.to(at::kDouble).masked_select(beside(values, result.failed.logical_not()));
    out.failed[key] = static_cast<double>(values.numel() - own.numel());
    // the share of a batch is that of all its images
    out.means[key] = own.sum().template item<double>() / static_cast<double>(values.numel());
  };
  if (!entry.components_only) add(entry.name, result.values);
  for (const auto& [key, values] : result.components) add(names.of(entry, key), values);
  return out;
}

/// A batch of an evaluation.
struct EvaluatedBatch {
  Tensor images, latents;  // as decoded [b,3,H,W], and [b,C,h,w] where they are needed again
  std::vector<MeasuredImages> measured;
  NetworkCounts network;
};

/// Every rank's batches, which follow one another rank by rank.
inline std::vector<EvaluatedBatch> of_all_ranks(const Ranks& ranks, std::vector<EvaluatedBatch> own,
                                                c10::Device device) {
  if (ranks.alone()) return own;
  Parcel parcel;
  parcel.add_integer(static_cast<std::int64_t>(own.size()));
  for (const EvaluatedBatch& batch : own) {
    parcel.add_tensor(batch.images);
    parcel.add_tensor(batch.latents);
    add_to(parcel, batch.network);
    parcel.add_integer(static_cast<std::int64_t>(batch.measured.size()));
    for (const MeasuredImages& measured : batch.measured)
      for (const auto* numbers : {&measured.means, &measured.failed}) add_to(parcel, *numbers);
  }
  std::vector<EvaluatedBatch> all;
  for (Parcel& one : ranks.gather("evaluated images", parcel))
    for (std::int64_t left = one.integer(); left > 0; --left) {
      EvaluatedBatch& batch = all.emplace_back();
      batch.images = one.tensor(device);
      batch.latents = one.tensor(device);
      read_from(one, batch.network);
      batch.measured.resize(static_cast<std::size_t>(one.integer()));
      for (MeasuredImages& measured : batch.measured)
        for (auto* numbers : {&measured.means, &measured.failed}) read_from(one, *numbers);
    }
  return all;
}

}  // namespace detail

/// Makes every pair's image by ordinary sampling with `sampler` and scores it with `rewards`, which are given what they
/// are given in training but for seeds: images as decoded, on the pipeline's device, with their latents and groups.
/// Rewards that score groups see all images at once, which are kept on that device for them. Changes nothing in the
/// pipeline and draws from no stream but the pairs' own. Ranks divide the batches; each gets the whole outcome. Returns
/// nothing if it was interrupted.
template <DiffusionPipeline Pipeline, SamplerPolicy Sampler>
std::optional<Evaluation> evaluate(Pipeline& pipeline, const Sampler& sampler, const std::vector<EvaluationPair>& pairs,
                                   const std::vector<EvaluationReward>& rewards,
                                   const EvaluationOptions& options = {}) {
  REWARD_TUNER_CHECK(!pairs.empty(), "[Evaluation] expected at least one (prompt, seed) pair, got none");
  REWARD_TUNER_CHECK(options.batch >= 1, "[Evaluation] batch must be >= 1, got ", options.batch);
  const torch::NoGradGuard no_grad;
  const auto begin = std::chrono::steady_clock::now();
  const SamplerSchedule schedule = sampler.schedule(pipeline.noise_schedule());
  const bool grouped = std::any_of(rewards.begin(), rewards.end(), [](const auto& r) { return per_group(r.reward); });
  CleanSamples all;
  for (const auto& pair : pairs) all.prompts.push_back(pair.prompt);
  all.groups = prompt_groups(all.prompts);
  MetricNames names(rewards);
  const auto size = static_cast<std::int64_t>(pairs.size());
  const auto batch_at = [&](std::int64_t start) {
    const std::int64_t end = std::min(size, start + options.batch);
    std::vector<std::string> prompts;
    std::vector<std::uint64_t> seeds;
    for (std::int64_t i = start; i < end; ++i) {
      prompts.push_back(pairs[static_cast<std::size_t>(i)].prompt);
      seeds.push_back(pairs[static_cast<std::size_t>(i)].seed);
    }
    SampleNoise noise(seeds);
    const RolloutSetup setup = sampling_setup(schedule, pipeline.encode(prompts), sampler.guidance());
    detail::EvaluatedBatch out;
    const Tensor clean = rollout(pipeline, setup, noise, out.network).clean;  // [B,C,h,w]
    const RewardInput input = all.input(pipeline.decode(clean), clean, start);
    for (const auto& entry : rewards)
      if (!per_group(entry.reward)) out.measured.push_back(detail::measure(entry, input, names));
    out.images = grouped ? input.images : input.images.to(at::kCPU, at::kFloat).clamp(0, 1);
    if (grouped) out.latents = clean;
    return out;
  };
  const auto [first, last] = options.ranks.own(size, options.batch);
  std::vector<detail::EvaluatedBatch> batches;
  const std::int64_t most = (size + options.batch - 1) / options.batch;  // batches; ranks ask equally often
  for (std::int64_t i = 0; i < (most + options.ranks.size() - 1) / options.ranks.size(); ++i) {
    if (options.ranks.any(options.interrupted && options.interrupted())) return std::nullopt;
    if (const std::int64_t start = first + i * options.batch; start < last) batches.push_back(batch_at(start));
  }
  batches = detail::of_all_ranks(options.ranks, std::move(batches), pipeline.latent_options().device());
  Evaluation out;
  std::vector<Tensor> images, decoded, latents;  // the last two for rewards of groups
  std::map<std::string, double> failed;          // name -> images without that score
  const auto add = [&](const detail::MeasuredImages& measured, double share) {
    for (const auto& [key, mean] : measured.means) out.metrics[key] += share * mean;
    for (const auto& [key, missing] : measured.failed) failed[key] += missing;
  };
  for (const auto& batch : batches) {
    out.network.add(batch.network);
    for (const auto& measured : batch.measured)
      add(measured, static_cast<double>(batch.images.size(0)) / static_cast<double>(size));
    images.push_back(grouped ? batch.images.to(at::kCPU, at::kFloat).clamp(0, 1) : batch.images);
    if (grouped) {
      decoded.push_back(batch.images);
      latents.push_back(batch.latents);
    }
  }
  out.images = at::cat(images);  // [N,3,H,W]
  if (grouped) {
    const RewardInput input = all.input(at::cat(decoded), at::cat(latents), 0);
    for (const auto& entry : rewards)
      if (per_group(entry.reward)) add(detail::measure(entry, input, names), 1);
  }
  const auto all_pairs = static_cast<double>(size);
  for (const auto& [key, missing] : failed) {
    if (missing == 0) continue;
    out.metrics[key] *= all_pairs / (all_pairs - missing);  // 0 * infinity where none has a score: NaN
    out.metrics[key + ".failed_scores"] = missing;
  }
  out.sentinels = sentinels(out.images);
  out.metrics.emplace("blank_share", out.sentinels.at("blank_share"));  // unless a reward reports it
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return out;
}

}  // namespace reward_tuner
