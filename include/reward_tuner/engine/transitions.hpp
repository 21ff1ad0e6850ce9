// Sampling for objectives on log-probabilities: rollouts that keep their trained transitions, forked into branches
// where the trained steps begin.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/engine/shared_work.hpp>

namespace reward_tuner {

/// N sampled images with everything needed to evaluate their trained steps again.
struct Transitions {
  RolloutSetup setup;        ///< N samples, T steps, as the rollout saw them; the plan trains steps that have noise
  PerStep<Tensor> latent;    ///< [T+1] latent(k) [N,C,h,w] where a trained step begins or ends, undefined elsewhere
  PerStep<Tensor> log_prob;  ///< [T] double [N] at trained steps, undefined elsewhere
  Tensor clean;              ///< [N,C,h,w]
  std::vector<std::uint64_t> seeds;  ///< [N]

  std::int64_t size() const { return clean.size(0); }
  /// The trained steps, ascending.
  const std::vector<int>& steps() const { return setup.plan.trained; }
  /// The samples that `rows` (int64 [n], on the CPU) names.
  Transitions select(const Tensor& rows) const {
    const Tensor index = beside(clean, rows);
    Transitions out{setup.select(rows), latent, log_prob, clean.index_select(0, index), {}};
    for (auto* values : {&out.latent, &out.log_prob})
      for (Tensor& t : *values)
        if (t.defined()) t = t.index_select(0, index);
    for (std::int64_t i = 0; i < rows.numel(); ++i)
      out.seeds.push_back(seeds[static_cast<std::size_t>(rows.const_data_ptr<std::int64_t>()[i])]);
    return out;
  }
};

/// How a round is sampled.
struct SamplingOptions {
  int branches = 1;                                      ///< copies at the fork, where the first trained step begins
  std::int64_t micro_batch = 0;                          ///< samples at a time, 0: all
  LogProbReduction reduction = LogProbReduction::kMean;  ///< of the stored log-probabilities
  /// called with the samples of each of this rank's micro-batches when they are finished, in order
  std::function<void(const CleanSamples&)> finished = {};
  Ranks ranks = {};  ///< each samples some of the micro-batches
};

namespace detail {

/// Appends the parts' tensors along the batch.
inline Tensor joined(const std::vector<Tensor>& parts) {
  return parts.empty() || !parts[0].defined() ? Tensor() : parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace detail

/// Rolls R roots out without gradient. With Br branches the steps before the fork run once a root; at the fork each
/// root is copied Br times, and every branch goes on with a noise stream of its own, all branches of all roots in one
/// batch (B2-DiffuRL paper, section 4.2). Samples are ordered root by root: root*Br + branch. With several ranks all of
/// them get all samples.
/// Calls: T of R samples without branches; else (fork) of R and (T - fork) of R*Br.
template <DiffusionPipeline Pipeline>
Transitions sample_transitions(Pipeline& pipeline, const RolloutSetup& setup, SampleNoise noise,
                               const SamplingOptions& options, NetworkCounts& counts) {
  const int T = setup.schedule.num_steps(), fork = options.branches > 1 ? setup.plan.first() : 0;
  const std::int64_t roots = setup.size(), samples = roots * options.branches;
  const std::int64_t micro = options.micro_batch > 0 ? options.micro_batch : samples;
  RolloutSetup sampling = setup.with(sampling_plan(T));  // what is kept of the path, the observer keeps
  Tensor start, before;  // [N,C,h,w] latent(fork) of every branch, and the clean prediction of the step before
  if (options.branches > 1) {
    std::vector<Tensor> prefixes, cleans;
    const auto [first, end] = options.ranks.own(roots, micro);
    for (std::int64_t begin = first; begin < end; begin += micro) {
      const std::int64_t size = std::min(micro, roots - begin);
      SampleNoise own = noise.narrow(begin, size);
      const Trajectory prefix = rollout(pipeline, sampling.narrow(begin, size), own, counts, {.end = fork});
      prefixes.push_back(prefix.clean);
      cleans.push_back(prefix.before);
    }
    const Tensor copies = at::arange(roots, at::kLong).repeat_interleave(options.branches);  // [N]
    const auto copied = [&](const Tensor& roots_) {
      return roots_.defined() ? roots_.index_select(0, beside(roots_, copies)) : Tensor();
    };
    const std::vector<Tensor> forked = of_all_ranks(
        options.ranks, "roots", {detail::joined(prefixes), detail::joined(cleans)}, pipeline.latent_options().device());
    start = copied(forked[0]);
    before = copied(forked[1]);
    sampling = sampling.select(copies);
    std::vector<std::uint64_t> seeds;
    for (const std::uint64_t root : noise.seeds())
      for (int branch = 0; branch < options.branches; ++branch)
        seeds.push_back(Rng::derive(root, static_cast<std::uint64_t>(branch)).bits());
    noise = SampleNoise(std::move(seeds));
  }
  StepPlan plan = setup.plan;
  plan.trained = stochastic_steps(setup.schedule, plan.trained);
  PerStep<std::vector<Tensor>> latents(T + 1), log_probs(T);  // the parts of the micro-batches
  std::vector<Tensor> clean;
  const auto keep = [&](const RolloutStep& step) {
    const int k = step.k;
    if (!plan.trains(k)) return;
    // not yet there as the end of the step before
    if (latents(k).size() == clean.size()) latents(k).push_back(step.latent);
    latents(k + 1).push_back(step.next);
    const std::vector<int> steps(static_cast<std::size_t>(step.latent.size(0)), k);  // [b]
    log_probs(k).push_back(
        transition_log_probs(setup.schedule, steps, step.latent, step.output, step.next, options.reduction));
  };
  const std::vector<std::int64_t> groups = prompt_groups(sampling.condition.prompts);
  const auto [first, end] = options.ranks.own(samples, micro);
  for (std::int64_t begin = first; begin < end; begin += micro) {
    const std::int64_t size = std::min(micro, samples - begin);
    SampleNoise own = noise.narrow(begin, size);
    RolloutOptions rest{.begin = fork, .observer = keep};
    if (start.defined()) rest.start = start.narrow(0, begin, size);
    if (before.defined()) rest.before = before.narrow(0, begin, size);
    const RolloutSetup setup_of_part = sampling.narrow(begin, size);
    clean.push_back(rollout(pipeline, setup_of_part, own, counts, rest).clean);
    if (options.finished)
      options.finished({clean.back(),
                        setup_of_part.condition.prompts,
                        own.seeds(),
                        {groups.begin() + begin, groups.begin() + begin + size}});
  }
  std::vector<Tensor> all{detail::joined(clean)};
  for (int k = 0; k <= T; ++k) all.push_back(detail::joined(latents(k)));
  for (int k = 0; k < T; ++k) all.push_back(detail::joined(log_probs(k)));
  all = of_all_ranks(options.ranks, "samples", all, pipeline.latent_options().device());
  Transitions out{sampling.with(plan), PerStep<Tensor>(T + 1), PerStep<Tensor>(T), all[0], noise.seeds()};
  for (int k = 0; k <= T; ++k) out.latent(k) = all[static_cast<std::size_t>(1 + k)];
  for (int k = 0; k < T; ++k) out.log_prob(k) = all[static_cast<std::size_t>(T + 2 + k)];
  return out;
}

}  // namespace reward_tuner
