// The backward pass of an update: one adjoint sweep over the sampler, with the trained network calls evaluated again or
// retained.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/rollout.hpp>

namespace reward_tuner {

/// What a sweep measured beside the gradients it accumulated.
struct SweepResult {
  double regularizer = 0;  ///< value of the regularizer's loss, its weight included
};

namespace detail {

/// Cotangents of one network-free sampler step.
struct StepCotangents {
  Tensor latent, output;  // [B,C,h,w]
};

/// dL/dlatent(k) (the sampler's own path only) and dL/doutput(k) from dL/dlatent(k+1).
inline StepCotangents step_vjp(const Trajectory& trajectory, int k, const Tensor& adjoint) {
  const bool jump = k == trajectory.plan.last && trajectory.plan.jumps;
  if (trajectory.schedule.linear()) {
    const SamplerStep& s = trajectory.schedule.steps[static_cast<std::size_t>(k)];
    const auto [a, b, c] = s.coefficients();
    return jump ? StepCotangents{s.clean_latent * adjoint, s.clean_network * adjoint}
                : StepCotangents{a * adjoint, b * adjoint};
  }
  const torch::AutoGradMode grad(true);  // clipping: let autograd differentiate the step, which holds no network call
  const Tensor latent = trajectory.latents[static_cast<std::size_t>(k)].detach().requires_grad_();
  const Tensor output = trajectory.outputs[static_cast<std::size_t>(k)].detach().requires_grad_();
  const Tensor next =
      jump ? predict_clean(trajectory.schedule, k, latent, output) : step_mean(trajectory.schedule, k, latent, output);
  auto g = torch::autograd::grad({next}, {latent, output}, {adjoint}, /*retain_graph=*/false, /*create_graph=*/false,
                                 /*allow_unused=*/true);
  for (Tensor& t : g)
    if (!t.defined()) t = at::zeros_like(adjoint);
  return {g[0], g[1]};
}

}  // namespace detail

/// Whether the adjoint enters the network's input at trained step k: below the first trained step nobody asks for it.
template <GradientStopPolicy Stop>
bool enters_input(const Stop& stop, const StepPlan& plan, int k) {
  return stop.input_gain(k) > 0 && k > plan.first();
}

/// The factors that turn the reward's gradient G = dL/dclean into the cotangent of each trained step's output under
/// StopInput, in closed form: cotangent(k) = factor(k) * G. Linear schedules only. In alpha-free variables this is
/// kappa - sigma (algorithms: DRTune-paper Eq. 4 read as a statement about gradients); here it is the running product
/// of the steps' latent factors, exact for every output space.
inline std::vector<double> closed_form_cotangents(const SamplerSchedule& schedule, const StepPlan& plan) {
  std::vector<double> factors(plan.trained.size());
  double carried = 1.0;  // dL/dlatent(k+1) / G
  for (int k = plan.last; k >= plan.first(); --k) {
    const SamplerStep& s = schedule.steps[static_cast<std::size_t>(k)];
    const auto [a, b, c] = s.coefficients();
    const bool jump = k == plan.last && plan.jumps;
    if (plan.trains(k))
      factors[static_cast<std::size_t>(std::lower_bound(plan.trained.begin(), plan.trained.end(), k) -
                                       plan.trained.begin())] = (jump ? s.clean_network : b) * carried;
    carried *= jump ? s.clean_latent : a;
  }
  return factors;
}

/// dL/doutput of one trained step.
struct StepJob {
  int k = 0;
  Tensor cotangent;         // dL/dguided output [B,C,h,w]
  bool with_input = false;  // whether dL/dlatent(k) through the network is wanted
};

/// How a sweep evaluates its trained steps.
struct SweepOptions {
  int replay_batch = 1;               ///< independent steps (StopInput) evaluated in one network call, >= 1
  RetainedCalls* retained = nullptr;  ///< graphs kept by the rollout, used instead of evaluating again
  double batch_share = 1.0;           ///< this micro-batch's share of the batch
};

namespace detail {

/// The network's outputs at the jobs' steps with their graphs, retained or evaluated again. rows: [sum of B or
/// 2B,C,h,w]
template <DiffusionPipeline Pipeline>
RetainedCall evaluate_jobs(Pipeline& pipeline, const Trajectory& trajectory, const std::vector<StepJob>& jobs,
                           RetainedCalls* retained, NetworkCounts& counts) {
  if (retained) return std::exchange(retained->calls[static_cast<std::size_t>(jobs[0].k)], {});
  const torch::AutoGradMode grad(true);
  std::vector<StepInput> inputs;
  for (const StepJob& job : jobs) {
    const auto k = static_cast<std::size_t>(job.k);
    inputs.push_back({trajectory.latents[k].detach().requires_grad_(job.with_input),
                      trajectory.schedule.timestep(job.k), trajectory.guidance[k]});
  }
  return {inputs[0].latents, stacked_call(pipeline, inputs, trajectory.condition, counts)};
}

}  // namespace detail

/// Differentiates trained steps and accumulates into the parameters' gradients: one network backward for all jobs
/// together. Several jobs must not want their inputs' gradients. Returns dL/dlatent(k) through the network of a single
/// job with_input, undefined otherwise.
template <DiffusionPipeline Pipeline, RegularizerPolicy Regularizer>
Tensor run_jobs(Pipeline& pipeline, const Trajectory& trajectory, const std::vector<StepJob>& jobs,
                const Regularizer& regularizer, const SweepOptions& options, NetworkCounts& counts,
                SweepResult& result) {
  Tensor reference;  // [rows,C,h,w]
  if constexpr (Regularizer::kNeedsReference) {
    if (regularizer.weight() > 0) {
      const torch::NoGradGuard no_grad;
      const auto scope = pipeline.reference_scope();
      std::vector<StepInput> inputs;
      for (const StepJob& job : jobs) {
        const auto k = static_cast<std::size_t>(job.k);
        inputs.push_back({trajectory.latents[k], trajectory.schedule.timestep(job.k), trajectory.guidance[k]});
      }
      reference = stacked_call(pipeline, inputs, trajectory.condition, counts);
    }
  }
  const RetainedCall call = detail::evaluate_jobs(pipeline, trajectory, jobs, options.retained, counts);
  REWARD_TUNER_CHECK(call.raw.requires_grad(),
                     "[RewardTuner] the network's output does not depend on anything trainable: attach a LoRA, or let "
                     "parameters require gradients");
  std::vector<Tensor> cotangents;
  // [B|2B,C,h,w]
  for (const StepJob& job : jobs)
    cotangents.push_back(split_cotangent(job.cotangent, trajectory.guidance[static_cast<std::size_t>(job.k)]));
  Tensor cotangent = cotangents.size() == 1 ? cotangents[0] : at::cat(cotangents);  // [rows,C,h,w]
  if (reference.defined()) {
    const Tensor difference = call.raw.detach() - reference;  // [rows,C,h,w]
    std::int64_t begin = 0;
    std::vector<Tensor> pulls;
    // a mean over each step's own elements, so that steps with and without guidance weigh alike
    for (const Tensor& part : cotangents) {
      const Tensor own = difference.narrow(0, begin, part.size(0));
      const double per_step =
          regularizer.weight() * options.batch_share / static_cast<double>(trajectory.plan.trained.size());
      result.regularizer += per_step * own.square().mean().template item<double>();
      pulls.push_back((2.0 * per_step / static_cast<double>(own.numel())) * own);
      begin += part.size(0);
    }
    cotangent = cotangent + at::cat(pulls);
  }
  counts.backwards += static_cast<std::int64_t>(jobs.size());
  counts.backward_samples += static_cast<std::int64_t>(jobs.size()) * jobs[0].cotangent.size(0);
  torch::autograd::backward({call.raw}, {cotangent});
  return jobs[0].with_input ? call.input.grad() : Tensor();
}

/// Carries G = dL/dclean [B,C,h,w] back through the trajectory and accumulates dL/dparameters of every trained step.
/// Memory: one network backward (times replay_batch), whatever T and K; with retained calls, the graphs of all trained
/// steps. Under StopInput the cotangents of all steps are known before any network call, in closed form if the schedule
/// is linear, and the steps are independent.
template <DiffusionPipeline Pipeline, GradientStopPolicy Stop, RegularizerPolicy Regularizer>
SweepResult adjoint_sweep(Pipeline& pipeline, const Trajectory& trajectory, const Tensor& gradient, const Stop& stop,
                          const Regularizer& regularizer, NetworkCounts& counts, const SweepOptions& options = {}) {
  const torch::NoGradGuard no_grad;
  const StepPlan& plan = trajectory.plan;
  REWARD_TUNER_CHECK(
      Stop::kAlwaysStops || plan.weights.empty(),
      "[RewardTuner] step weights other than 1 need StopInput: elsewhere they would leak into the adjoint");
  SweepResult result;
  const auto run = [&](const std::vector<StepJob>& jobs) {
    return run_jobs(pipeline, trajectory, jobs, regularizer, options, counts, result);
  };
  const std::size_t together = options.retained ? 1 : static_cast<std::size_t>(options.replay_batch);
  std::vector<StepJob> waiting;
  const auto flush = [&](std::size_t least) {
    if (waiting.size() < least || waiting.empty()) return;
    run(waiting);
    waiting.clear();
  };
  if (Stop::kAlwaysStops && trajectory.schedule.linear()) {
    const auto factors = closed_form_cotangents(trajectory.schedule, plan);
    for (std::size_t i = factors.size(); i-- > 0;) {
      waiting.push_back({plan.trained[i], plan.weight(plan.trained[i]) * factors[i] * gradient});
      flush(together);
    }
    flush(1);
    return result;
  }
  Tensor adjoint = gradient;  // dL/dlatent(k+1)  [B,C,h,w]
  for (int k = plan.last; k >= plan.first(); --k) {
    auto [next, output] = detail::step_vjp(trajectory, k, adjoint);  // [B,C,h,w] each
    if (plan.trains(k)) {                                            // elsewhere the network is a constant
      if constexpr (Stop::kAlwaysStops) {
        waiting.push_back({k, plan.weight(k) * output});
        flush(together);
      } else {
        const double gain = stop.input_gain(k);
        const bool with_input = enters_input(stop, plan, k);
        const Tensor through = run({{k, output, with_input}});
        if (with_input) next = next.add(through, gain);  // [B,C,h,w]
      }
    }
    adjoint = next;
  }
  flush(1);
  return result;
}

}  // namespace reward_tuner
