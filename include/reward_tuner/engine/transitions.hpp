// Sampling for objectives on log-probabilities: rollouts that keep their trained transitions, forked into branches
// where the trained steps begin.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/engine/rollout.hpp>

namespace reward_tuner {

/// N sampled images with everything needed to evaluate their trained steps again.
struct Transitions {
  SamplerSchedule schedule;
  std::vector<int> steps;        ///< [K] trained steps that have noise, ascending
  Condition condition;           ///< N samples, as the rollout saw them
  std::vector<double> guidance;  ///< [T] as the rollout used it
  std::vector<Tensor> latents;   ///< [T+1] latent(k) [N,C,h,w] where a trained step begins or ends, undefined elsewhere
  std::vector<Tensor> log_probs;     ///< [T] double [N] at trained steps, undefined elsewhere
  Tensor clean;                      ///< [N,C,h,w]
  std::vector<std::uint64_t> seeds;  ///< [N]

  std::int64_t size() const { return clean.size(0); }
  /// The samples that `rows` (int64 [n], on the CPU) names.
  Transitions select(const Tensor& rows) const {
    Transitions out{schedule, steps, condition.select(rows), guidance, latents, log_probs, clean, {}};
    const Tensor index = rows.to(clean.device());
    for (auto* list : {&out.latents, &out.log_probs})
      for (Tensor& t : *list)
        if (t.defined()) t = t.index_select(0, index);
    out.clean = clean.index_select(0, index);
    for (std::int64_t i = 0; i < rows.numel(); ++i)
      out.seeds.push_back(seeds[static_cast<std::size_t>(rows.const_data_ptr<std::int64_t>()[i])]);
    return out;
  }
};

/// How a round is sampled.
struct SamplingPlan {
  StepPlan steps;                ///< which are trained; the rollout forks where the first of them begins
  int branches = 1;              ///< copies at the fork
  std::int64_t micro_batch = 0;  ///< samples at a time, 0: all
  LogProbReduction reduction = LogProbReduction::kMean;  ///< of the stored log-probabilities
};

namespace detail {

/// Appends the parts' tensors along the batch.
inline Tensor joined(const std::vector<Tensor>& parts) {
  return parts.empty() || !parts[0].defined() ? Tensor() : parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace detail

/// Rolls `condition`'s R roots out without gradient. With Br branches the steps before the fork run once a root; at the
/// fork each root is copied Br times, and every branch goes on with a noise stream of its own, all branches of all
/// roots in one batch (B2-DiffuRL paper, section 4.2). Samples are ordered root by root: root*Br + branch.
/// Calls: T of R samples without branches; else (fork) of R and (T - fork) of R*Br.
template <DiffusionPipeline Pipeline>
Transitions sample_transitions(Pipeline& pipeline, const SamplerSchedule& schedule, const SamplingPlan& plan,
                               const Condition& condition, const std::vector<double>& guidance, SampleNoise noise,
                               NetworkCounts& counts) {
  const int T = schedule.num_steps(), fork = plan.branches > 1 ? plan.steps.first() : 0;
  const std::int64_t roots = condition.size(), samples = roots * plan.branches;
  const std::int64_t micro = plan.micro_batch > 0 ? plan.micro_batch : samples;
  Transitions out{schedule,
                  stochastic_steps(schedule, plan.steps.trained),
                  condition,
                  guidance,
                  std::vector<Tensor>(static_cast<std::size_t>(T) + 1),
                  std::vector<Tensor>(static_cast<std::size_t>(T)),
                  {},
                  noise.seeds()};
  Tensor start;  // [N,C,h,w] latent(fork) of every branch
  if (plan.branches > 1) {
    std::vector<Tensor> prefixes;
    for (std::int64_t begin = 0; begin < roots; begin += micro) {
      const std::int64_t size = std::min(micro, roots - begin);
      SampleNoise own = noise.narrow(begin, size);
      prefixes.push_back(rollout(pipeline, schedule, sampling_plan(T), condition.narrow(begin, size), guidance, own,
                                 counts, {.end = fork})
                             .clean);
    }
    const Tensor copies = at::arange(roots, at::kLong).repeat_interleave(plan.branches);  // [N]
    start = detail::joined(prefixes).index_select(0, copies.to(prefixes[0].device()));
    out.condition = condition.select(copies);
    std::vector<std::uint64_t> seeds;
    for (const std::uint64_t root : noise.seeds())
      for (int branch = 0; branch < plan.branches; ++branch)
        seeds.push_back(Rng::derive(root, static_cast<std::uint64_t>(branch)).bits());
    noise = SampleNoise(seeds);
    out.seeds = std::move(seeds);
  }
  std::vector<std::vector<Tensor>> latents(out.latents.size()), log_probs(out.log_probs.size());
  std::vector<Tensor> clean;
  const auto keep = [&](const RolloutStep& step) {
    if (!std::binary_search(out.steps.begin(), out.steps.end(), step.k)) return;
    const auto k = static_cast<std::size_t>(step.k);
    // not yet there as the end of the step before
    if (latents[k].size() == clean.size()) latents[k].push_back(step.latent);
    latents[k + 1].push_back(step.next);
    log_probs[k].push_back(transition_log_probs(schedule,
                                                std::vector<int>(static_cast<std::size_t>(step.latent.size(0)), step.k),
                                                step.latent, step.output, step.next, plan.reduction));
  };
  for (std::int64_t begin = 0; begin < samples; begin += micro) {
    const std::int64_t size = std::min(micro, samples - begin);
    SampleNoise own = noise.narrow(begin, size);
    RolloutOptions options{.begin = fork, .observer = keep};
    if (start.defined()) options.start = start.narrow(0, begin, size);
    clean.push_back(
        rollout(pipeline, schedule, sampling_plan(T), out.condition.narrow(begin, size), guidance, own, counts, options)
            .clean);
  }
  for (std::size_t k = 0; k < latents.size(); ++k) out.latents[k] = detail::joined(latents[k]);
  for (std::size_t k = 0; k < log_probs.size(); ++k) out.log_probs[k] = detail::joined(log_probs[k]);
  out.clean = detail::joined(clean);
  return out;
}

}  // namespace reward_tuner
