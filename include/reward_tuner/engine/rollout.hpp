// The forward pass of an update: runs the sampler and keeps what is needed to differentiate its trained steps.
#pragma once
#include <torch/types.h>

#include <functional>
#include <utility>
#include <vector>

#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/sample_noise.hpp>
#include <reward_tuner/engine/sampler_step.hpp>

namespace reward_tuner {

/// A finished rollout, never changed afterwards: rollout and replay cannot disagree.
struct Trajectory {
  SamplerSchedule schedule;
  StepPlan plan;
  Condition condition;
  std::vector<double> guidance;  ///< [T] scale of every step
  std::vector<Tensor> latents;   ///< [T] latent(k) [B,C,h,w] where a replay needs it, undefined elsewhere
  std::vector<Tensor> outputs;   ///< [T] guided output(k) [B,C,h,w], kept only where clipping makes a step nonlinear
  Tensor clean;                  ///< [B,C,h,w] what is decoded
};

/// A plan that trains nothing and runs to the end: ordinary sampling.
inline StepPlan sampling_plan(int num_steps) { return {.last = num_steps - 1, .jumps = false, .trained = {}}; }

/// A trained step's network call whose autograd graph is kept from the rollout to the sweep.
struct RetainedCall {
  Tensor input;  // [B,C,h,w] leaf; requires a gradient where the adjoint enters the network's input
  Tensor raw;    // [B|2B,C,h,w] what the network returned, with its graph
};

/// Keeps the graphs of trained steps: the other way to have their gradients beside evaluating them again. `calls` is
/// filled by the rollout and emptied by the sweep.
struct RetainedCalls {
  std::function<bool(int k)> with_input;  ///< whether step k's input gradient will be asked for
  std::vector<RetainedCall> calls = {};   ///< [T], defined at trained steps
};

/// What one step did: latent(k), the guided output there, and latent(k+1), each [B,C,h,w].
struct RolloutStep {
  int k = 0;
  const Tensor &latent, &output, &next;
};

/// Called after every step: policy gradients keep transitions, tests look on.
using RolloutObserver = std::function<void(const RolloutStep&)>;

/// What a rollout may be told beside its plan.
struct RolloutOptions {
  Tensor start = {};                  ///< latent(begin) [B,C,h,w] instead of fresh noise
  int begin = 0;                      ///< the first executed step; above 0 needs `start`
  int end = -1;                       ///< stop before this step, `clean` is then latent(end); -1: run as the plan says
  RetainedCalls* retained = nullptr;  ///< where to keep the graphs of trained steps; nullptr: nothing is kept
  RolloutObserver observer = {};      ///< called after every step
};

/// Runs steps begin..plan.last (or to end-1), without gradient but for retained calls. `noise` gives the start and the
/// noise of every stochastic step.
template <DiffusionPipeline Pipeline>
Trajectory rollout(Pipeline& pipeline, SamplerSchedule schedule, StepPlan plan, Condition condition,
                   std::vector<double> guidance, SampleNoise& noise, NetworkCounts& counts,
                   const RolloutOptions& options = {}) {
  const torch::NoGradGuard no_grad;
  const auto scope = pipeline.rollout_scope();
  const auto steps = static_cast<std::size_t>(schedule.num_steps());
  const auto shape = pipeline.latent_shape(condition.size());
  REWARD_TUNER_CHECK(options.begin == 0 || options.start.defined(), "[rollout] a rollout that begins at step ",
                     options.begin, " needs start latents");
  Trajectory out{std::move(schedule),
                 std::move(plan),
                 std::move(condition),
                 std::move(guidance),
                 std::vector<Tensor>(steps),
                 std::vector<Tensor>(steps),
                 {}};
  // [B,C,h,w]
  Tensor latent = options.start.defined() ? options.start : noise.normal(shape, pipeline.latent_options());
  REWARD_TUNER_CHECK(latent.sizes() == at::IntArrayRef(shape), "[rollout] start latents expected shape ",
                     at::IntArrayRef(shape), ", got ", latent.sizes());
  if (options.retained) options.retained->calls.assign(steps, {});
  const int first = out.plan.first();
  const int end = options.end >= 0 ? options.end : out.plan.last + 1;
  for (int k = options.begin; k < end; ++k) {
    const auto at_k = static_cast<std::size_t>(k);
    const bool trained = out.plan.trains(k), nonlinear = k >= first && !out.schedule.linear();
    Tensor output;  // [B,C,h,w]
    if (trained && options.retained) {
      const torch::AutoGradMode grad(true);
      RetainedCall& call = options.retained->calls[at_k];
      call.input = latent.detach().requires_grad_(options.retained->with_input(k));  // [B,C,h,w]
      const GuidedOutput made =
          guided_call(pipeline, call.input, out.schedule.timestep(k), out.condition, out.guidance[at_k], counts);
      call.raw = made.raw;
      output = made.guided.detach();
    } else {
      output =
          guided_call(pipeline, latent, out.schedule.timestep(k), out.condition, out.guidance[at_k], counts).guided;
    }
    if (trained || nonlinear) out.latents[at_k] = latent;
    if (nonlinear) out.outputs[at_k] = output;
    Tensor next;  // [B,C,h,w]
    if (k == out.plan.last && out.plan.jumps) {
      next = predict_clean(out.schedule, k, latent, output);
    } else {
      next = step_mean(out.schedule, k, latent, output);
      if (const double c = out.schedule.steps[at_k].noise; c > 0)
        next = next.add(noise.normal(shape, pipeline.latent_options()), c);
    }
    if (options.observer) options.observer({k, latent, output, next});
    latent = next;
  }
  out.clean = latent;
  return out;
}

/// The plan of one replica of DRaFT-LV: the last step alone, jumping to the clean sample.
inline StepPlan replica_plan(int num_steps) {
  return {.last = num_steps - 1, .jumps = true, .trained = {num_steps - 1}};
}

/// Noises a finished sample to the level of the last step and predicts it again: latent = alpha*clean + sigma*e, clean*
/// = x0(latent)
/// (Clark et al. 2024, section 4.2). The result is a trajectory of that one step.  clean [B,C,h,w]
template <DiffusionPipeline Pipeline>
Trajectory renoised(Pipeline& pipeline, const SamplerSchedule& schedule, const Tensor& clean,
                    const Condition& condition, const std::vector<double>& guidance, SampleNoise& noise,
                    NetworkCounts& counts, RetainedCalls* retained = nullptr) {
  const torch::NoGradGuard no_grad;
  const SamplerStep& last = schedule.steps.back();
  const Tensor fresh = noise.normal(pipeline.latent_shape(condition.size()), pipeline.latent_options());  // [B,C,h,w]
  const Tensor latent = last.alpha * clean + last.sigma * fresh;                                          // [B,C,h,w]
  return rollout(pipeline, schedule, replica_plan(schedule.num_steps()), condition, guidance, noise, counts,
                 {.start = latent, .begin = schedule.num_steps() - 1, .retained = retained});
}

}  // namespace reward_tuner
