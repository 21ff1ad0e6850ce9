// The forward pass of an update: runs the sampler and keeps what is needed to differentiate its trained steps.
#pragma once
#include <torch/types.h>

#include <functional>
#include <utility>

#include <reward_tuner/engine/rollout_setup.hpp>
#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/engine/sample_noise.hpp>
#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// A finished rollout, never changed afterwards: rollout and replay cannot disagree.
struct Trajectory {
  RolloutSetup setup;      ///< B samples, T steps
  PerStep<Tensor> latent;  ///< [T] latent(k) [B,C,h,w] where a replay needs it, undefined elsewhere
  PerStep<Tensor> output;  ///< [T] guided output(k) [B,C,h,w], kept only where clipping makes a step nonlinear
  Tensor clean;            ///< [B,C,h,w] what is decoded
  Tensor before = {};      ///< [B,C,h,w] the last step's clean prediction where a next step continues with it
};

/// Keeps the graphs of trained steps, of all or of some: the other way to have their gradients beside evaluating them
/// again. `call` is filled by the rollout and emptied by the sweep.
struct RetainedCalls {
  std::function<bool(int k)> with_input;  ///< whether step k's input gradient will be needed
  std::function<bool(int k)> keeps = {};  ///< whether trained step k keeps its graph; empty: each does
  PerStep<RowCall> call = {};             ///< [T] raw rows with their graphs at those steps, whose inputs are leaves

  /// Whether the graph of step k is here.
  bool has(int k) const { return call(k).raw.defined(); }
};

/// What one step did: latent(k), the guided output there, and latent(k+1), each [B,C,h,w].
struct RolloutStep {
  int k = 0;
  const Tensor &latent, &output, &next;
};

/// Called after every step: policy gradients store transitions, tests observe.
using RolloutObserver = std::function<void(const RolloutStep&)>;

/// Optional arguments of rollout().
struct RolloutOptions {
  Tensor start = {};                  ///< latent(begin) [B,C,h,w] instead of fresh noise
  Tensor before = {};                 ///< clean prediction of step begin-1 [B,C,h,w] where step `begin` has history
  int begin = 0;                      ///< the first executed step; above 0 needs `start`
  int end = -1;                       ///< stop before this step, `clean` is then latent(end); -1: run as the plan says
  RetainedCalls* retained = nullptr;  ///< where to keep the graphs of trained steps; nullptr: nothing is kept
  RolloutObserver observer = {};      ///< called after every step
};

/// Runs steps begin..plan.last (or to end-1), without gradient but for retained calls. `noise` gives the start and the
/// noise of every stochastic step.
template <DiffusionPipeline Pipeline>
Trajectory rollout(Pipeline& pipeline, RolloutSetup setup, SampleNoise& noise, NetworkCounts& counts,
                   const RolloutOptions& options = {}) {
  const torch::NoGradGuard no_grad;
  const StageScope stage(Stage::kRollout);
  const auto scope = pipeline.rollout_scope();
  const int steps = setup.schedule.num_steps();
  const auto shape = pipeline.latent_shape(setup.size());
  REWARD_TUNER_CHECK(options.begin == 0 || options.start.defined(), "[rollout] a rollout that begins at step ",
                     options.begin, " needs start latents");
  Trajectory out{std::move(setup), PerStep<Tensor>(steps), PerStep<Tensor>(steps), {}, {}};
  const auto& [schedule, plan, condition, guidance] = out.setup;
  // [B,C,h,w]
  Tensor latent = options.start;
  if (!latent.defined()) latent = noise.normal(shape, pipeline.latent_options());
  REWARD_TUNER_CHECK(latent.sizes() == at::IntArrayRef(shape), "[rollout] start latents expected shape ",
                     at::IntArrayRef(shape), ", got ", latent.sizes());
  if (options.retained) options.retained->call = PerStep<RowCall>(steps);
  if (!options.start.defined() && schedule.start_scale != 1) latent = schedule.start_scale * latent;
  Tensor before = options.before;  // [B,C,h,w] clean prediction of step k-1
  const int end = options.end >= 0 ? options.end : plan.last + 1;
  // [B,C,h,w] of steps with noise, drawn on the host before the device has work to wait for
  PerStep<Tensor> fresh(steps);
  for (int k = options.begin; k < end; ++k)
    if (!(k == plan.last && plan.jumps) && schedule.step(k).noise > 0)
      fresh(k) = noise.normal(shape, pipeline.latent_options());
  for (int k = options.begin; k < end; ++k) {
    const bool trained = plan.trains(k), nonlinear = k >= plan.first() && !schedule.linear();
    Tensor output;  // [B,C,h,w]
    if (trained && options.retained && (!options.retained->keeps || options.retained->keeps(k))) {
      const torch::AutoGradMode grad(true);
      const Tensor input = latent.detach().requires_grad_(options.retained->with_input(k));  // [B,C,h,w]
      RowCall& call = options.retained->call(k) = row_call(pipeline, step_rows(out.setup, k, input), counts);
      output = std::exchange(call.guided, {}).detach();  // the sweep asks for the raw rows only
    } else {
      output = row_call(pipeline, step_rows(out.setup, k, latent), counts).guided;
    }
    if (trained || nonlinear) out.latent(k) = latent;
    if (nonlinear) out.output(k) = output;
    Tensor next;  // [B,C,h,w]
    if (k == plan.last && plan.jumps) {
      next = predict_clean(schedule, k, latent, output);
    } else {
      next = step_mean(schedule, k, latent, output, before);
      if (const Tensor e = std::exchange(fresh(k), {}); e.defined()) next = next.add(e, schedule.step(k).noise);
    }
    before = schedule.has_history(k + 1) ? predict_clean(schedule, k, latent, output) : Tensor();
    if (options.observer) options.observer({k, latent, output, next});
    latent = next;
  }
  out.clean = latent;
  out.before = before;
  return out;
}

/// The plan of one replica of DRaFT-LV: the last step alone, jumping to the clean sample.
inline StepPlan replica_plan(int num_steps) {
  return {.last = num_steps - 1, .jumps = true, .trained = {num_steps - 1}};
}

/// Noises a finished sample to the level of the last step and predicts it again: latent = alpha*clean + sigma*e,
/// clean* = x0(latent) (Clark et al. 2024, section 4.2). The result is a trajectory of that one step.
template <DiffusionPipeline Pipeline>
Trajectory renoised(Pipeline& pipeline, const Trajectory& finished, SampleNoise& noise, NetworkCounts& counts,
                    RetainedCalls* retained = nullptr) {
  const torch::NoGradGuard no_grad;
  const RolloutSetup& setup = finished.setup;
  const int steps = setup.schedule.num_steps();
  const SamplerStep& last = setup.schedule.step(steps - 1);
  const Tensor fresh = noise.normal(pipeline.latent_shape(setup.size()), pipeline.latent_options());  // [B,C,h,w]
  const Tensor latent = last.alpha * finished.clean + last.sigma * fresh;                             // [B,C,h,w]
  return rollout(pipeline, setup.with(replica_plan(steps)), noise, counts,
                 {.start = latent, .begin = steps - 1, .retained = retained});
}

}  // namespace reward_tuner
