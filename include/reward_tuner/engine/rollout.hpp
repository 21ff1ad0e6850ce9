// The no-grad forward pass of an update: runs the sampler and keeps what is needed to evaluate trained steps again.
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

/// Called after step k with latent(k+1): progress and tests look on.
using RolloutObserver = std::function<void(int k, const Tensor& next)>;

/// Runs steps 0..plan.last. `start` replaces the first noise if defined; `noise` gives that of every stochastic step.
template <DiffusionPipeline Pipeline>
Trajectory rollout(Pipeline& pipeline, SamplerSchedule schedule, StepPlan plan, Condition condition, std::vector<double> guidance, SampleNoise& noise,
                   NetworkCounts& counts, const Tensor& start = {}, const RolloutObserver& observer = {}) {
  const torch::NoGradGuard no_grad;
  const auto scope = pipeline.rollout_scope();
  const auto steps = static_cast<std::size_t>(schedule.num_steps());
  const auto shape = pipeline.latent_shape(condition.size());
  Trajectory out{std::move(schedule), std::move(plan), std::move(condition), std::move(guidance), std::vector<Tensor>(steps), std::vector<Tensor>(steps), {}};
  Tensor latent = start.defined() ? start : noise.normal(shape, pipeline.latent_options());  // [B,C,h,w]
  REWARD_TUNER_CHECK(latent.sizes() == at::IntArrayRef(shape), "[rollout] start latents wanted shape ", at::IntArrayRef(shape), ", found ", latent.sizes());
  const int first = out.plan.first();
  for (int k = 0; k <= out.plan.last; ++k) {
    const auto at_k = static_cast<std::size_t>(k);
    const Tensor output = guided_call(pipeline, latent, out.schedule.timestep(k), out.condition, out.guidance[at_k], counts).guided;  // [B,C,h,w]
    const bool replayed = out.plan.trains(k), nonlinear = k >= first && !out.schedule.linear();
    if (replayed || nonlinear) out.latents[at_k] = latent;
    if (nonlinear) out.outputs[at_k] = output;
    if (k == out.plan.last && out.plan.jumps) {
      latent = predict_clean(out.schedule, k, latent, output);
    } else {
      latent = step_mean(out.schedule, k, latent, output);
      if (const double c = out.schedule.steps[at_k].noise; c > 0) latent = latent.add(noise.normal(shape, pipeline.latent_options()), c);
    }
    if (observer) observer(k, latent);
  }
  out.clean = latent;
  return out;
}

}  // namespace reward_tuner
