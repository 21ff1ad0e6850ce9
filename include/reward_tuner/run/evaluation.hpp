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
#include <reward_tuner/metrics/sentinels.hpp>
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

/// Makes every pair's image by ordinary sampling with `sampler` and scores it with `rewards`, which are given what they
/// are given in training but for seeds: images as decoded, on the pipeline's device, with their latents and groups.
/// Rewards that score groups see all images at once, which are kept on that device for them. Changes nothing in the
/// pipeline and draws from no stream but the pairs' own. Returns nothing if it was interrupted.
template <DiffusionPipeline Pipeline, SamplerPolicy Sampler>
std::optional<Evaluation> evaluate(Pipeline& pipeline, const Sampler& sampler, const std::vector<EvaluationPair>& pairs,
                                   const std::vector<EvaluationReward>& rewards,
                                   const EvaluationOptions& options = {}) {
  REWARD_TUNER_CHECK(!pairs.empty(), "[Evaluation] expected at least one (prompt, seed) pair, got none");
  REWARD_TUNER_CHECK(options.batch >= 1, "[Evaluation] batch must be >= 1, got ", options.batch);
  const torch::NoGradGuard no_grad;
  const auto begin = std::chrono::steady_clock::now();
  const SamplerSchedule schedule = sampler.schedule(pipeline.noise_schedule());
  Evaluation out;
  const bool grouped = std::any_of(rewards.begin(), rewards.end(), [](const auto& r) { return per_group(r.reward); });
  CleanSamples all;
  for (const auto& pair : pairs) all.prompts.push_back(pair.prompt);
  all.groups = prompt_groups(all.prompts);
  std::vector<Tensor> images, decoded, latents;  // the last two for rewards of groups
  MetricNames names(rewards);
  std::map<std::string, double> failed;  // name -> images without that score
  /// The means of those that have one.
  const auto measure = [&](const EvaluationReward& entry, const RewardInput& input,
                           std::map<std::string, double>& means) {
    const RewardResult result = entry.reward.score(input);
    const auto add = [&](const std::string& key, const Tensor& values) {
      if (!result.failed.defined()) {
        means[key] = values.to(at::kDouble).mean().template item<double>();
        return;
      }
      const Tensor own = values.to(at::kDouble).masked_select(beside(values, result.failed.logical_not()));
      const auto missing = static_cast<double>(values.numel() - own.numel());
      failed[key] += missing;
      // the share of a batch is that of all its images
      means[key] = own.sum().template item<double>() / static_cast<double>(values.numel());
    };
    if (!entry.components_only) add(entry.name, result.values);
    for (const auto& [key, values] : result.components) add(names.of(entry, key), values);
  };
  for (std::size_t start = 0; start < pairs.size(); start += static_cast<std::size_t>(options.batch)) {
    if (options.interrupted && options.interrupted()) return std::nullopt;
    const std::size_t end = std::min(pairs.size(), start + static_cast<std::size_t>(options.batch));
    std::vector<std::string> prompts;
    std::vector<std::uint64_t> seeds;
    for (std::size_t i = start; i < end; ++i) {
      prompts.push_back(pairs[i].prompt);
      seeds.push_back(pairs[i].seed);
    }
    SampleNoise noise(seeds);
    const RolloutSetup setup = sampling_setup(schedule, pipeline.encode(prompts), sampler.guidance());
    const Tensor clean = rollout(pipeline, setup, noise, out.network).clean;  // [B,C,h,w]
    const RewardInput input = all.input(pipeline.decode(clean), clean, static_cast<std::int64_t>(start));
    const double share = static_cast<double>(end - start) / static_cast<double>(pairs.size());
    std::map<std::string, double> means;
    for (const auto& entry : rewards)
      if (!per_group(entry.reward)) measure(entry, input, means);
    for (const auto& [key, mean] : means) out.metrics[key] += share * mean;
    images.push_back(input.images.to(at::kCPU, at::kFloat).clamp(0, 1));
    if (grouped) {
      decoded.push_back(input.images);
      latents.push_back(clean);
    }
  }
  out.images = at::cat(images);  // [N,3,H,W]
  if (grouped) {
    const RewardInput input = all.input(at::cat(decoded), at::cat(latents), 0);
    for (const auto& entry : rewards)
      if (per_group(entry.reward)) measure(entry, input, out.metrics);
  }
  const auto all_pairs = static_cast<double>(pairs.size());
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
