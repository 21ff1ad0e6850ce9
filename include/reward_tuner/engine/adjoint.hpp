// The backward pass of an update: one adjoint sweep over the sampler, with the trained network calls evaluated again or
// retained.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <functional>
#include <map>
#include <utility>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/graph_budget.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/engine/trained_rows.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// Measurements of a sweep, in addition to the accumulated gradients. They stay on the device, which a sweep never
/// waits for.
struct SweepResult {
  /// value of the regularizer's loss, its weight included, double 0-d; undefined without one
  Tensor regularizer = {};
  std::map<int, Tensor> cotangent_norms = {};  ///< of each trained step's dL/d(guided output), double 0-d
};

namespace detail {

/// Cotangents of one network-free sampler step.
struct StepCotangents {
  Tensor latent, output;  // [B,C,h,w]
};

/// dL/dlatent(k) (the sampler's own path only) and dL/doutput(k) from dL/dlatent(k+1) and dL/dx0(k) (of the clean
/// prediction that step k+1 continued with, undefined if it did not).
inline StepCotangents step_vjp(const Trajectory& trajectory, int k, const Tensor& adjoint, const Tensor& owed) {
  const auto& [schedule, plan, condition, guidance] = trajectory.setup;
  const bool jump = k == plan.last && plan.jumps;
  if (schedule.linear()) {
    const SamplerStep& s = schedule.step(k);
    const auto [a, b, c] = s.coefficients();
    if (jump) return {s.clean_latent * adjoint, s.clean_network * adjoint};
    const StepCotangents present{a * adjoint, b * adjoint};
    if (!owed.defined()) return present;
    return {present.latent.add(owed, s.clean_latent), present.output.add(owed, s.clean_network)};
  }
  const torch::AutoGradMode grad(true);  // clipping: let autograd differentiate the step, which holds no network call
  const Tensor latent = trajectory.latent(k).detach().requires_grad_();
  const Tensor output = trajectory.output(k).detach().requires_grad_();
  std::vector<Tensor> results{jump ? predict_clean(schedule, k, latent, output)
                                   : step_present(schedule, k, latent, output)},
      cotangents{adjoint};
  if (owed.defined()) {
    results.push_back(predict_clean(schedule, k, latent, output));
    cotangents.push_back(owed);
  }
  auto g = torch::autograd::grad(results, {latent, output}, cotangents, /*retain_graph=*/false, /*create_graph=*/false,
                                 /*allow_unused=*/true);
  for (Tensor& t : g)
    if (!t.defined()) t = at::zeros_like(adjoint);
  return {g[0], g[1]};
}

}  // namespace detail

/// Whether the adjoint enters the network's input at trained step k: below the first trained step it is not needed.
template <GradientStopPolicy Stop>
bool enters_input(const Stop& stop, const StepPlan& plan, int k) {
  return stop.input_gain(k) > 0 && k > plan.first();
}

/// The factors that turn the reward's gradient G = dL/dclean into the cotangent of each trained step's output under
/// StopInput, in closed form: cotangent(k) = factor(k) * G, 0 at steps that are not trained. Linear schedules only. In
/// alpha-free variables this is kappa - sigma (algorithms: DRTune-paper Eq. 4 read as a statement about gradients);
/// here it is the running product of the steps' latent factors, exact for every output space.
inline PerStep<double> closed_form_cotangents(const SamplerSchedule& schedule, const StepPlan& plan) {
  PerStep<double> factors(schedule.num_steps());
  double carried = 1.0, owed = 0.0;  // dL/dlatent(k+1) / G, and dL/dx0(k) / G through the history of step k+1
  for (int k = plan.last; k >= plan.first(); --k) {
    const SamplerStep& s = schedule.step(k);
    const auto [a, b, c] = s.coefficients();
    const bool jump = k == plan.last && plan.jumps;
    if (plan.trains(k)) factors(k) = jump ? s.clean_network * carried : b * carried + s.clean_network * owed;
    const double before = jump ? 0.0 : -s.history * carried;
    carried = jump ? s.clean_latent * carried : a * carried + s.clean_latent * owed;
    owed = before;
  }
  return factors;
}

/// dL/doutput of one trained step.
struct StepJob {
  int k = 0;
  Tensor cotangent;         // dL/dguided output [B,C,h,w]
  bool with_input = false;  // whether dL/dlatent(k) through the network is needed
};

/// How a sweep evaluates its trained steps.
struct SweepOptions {
  int replay_batch = 1;               ///< independent steps (StopInput) evaluated in one network call, >= 1
  RetainedCalls* retained = nullptr;  ///< graphs kept by the rollout, used instead of evaluating those steps again
  GraphMeter* graphs = nullptr;       ///< measures the graphs of the steps that are evaluated again
  /// factor on the mean over trained steps and samples of (raw - reference)^2, as ReferencePull has it; 0: none
  double reference_weight = 0;
  std::function<void()> accumulated = {};  ///< called after each network backward
};

/// Differentiates trained steps and accumulates into the parameters' gradients: one network backward for all jobs
/// together. Input gradients are available for a single job only. Returns dL/dlatent(k) through the network of a single
/// job with_input, undefined otherwise.
template <DiffusionPipeline Pipeline>
Tensor run_jobs(Pipeline& pipeline, const Trajectory& trajectory, const std::vector<StepJob>& jobs,
                const SweepOptions& options, NetworkCounts& counts, SweepResult& result) {
  const torch::AutoGradMode grad(true);  // the condition may be trained
  std::vector<Tensor> inputs, cotangents;
  for (const StepJob& job : jobs) {
    inputs.push_back(trajectory.latent(job.k).detach().requires_grad_(job.with_input));  // [B,C,h,w]
    cotangents.push_back(job.cotangent);
    result.cotangent_norms[job.k] = job.cotangent.to(at::kDouble).norm();
  }
  const auto rows_under = [&](const Condition& condition) {
    std::vector<RowInputs> parts;
    for (std::size_t i = 0; i < jobs.size(); ++i)
      parts.push_back(step_rows(trajectory.setup, condition, jobs[i].k, inputs[i]));
    return concatenate(parts);
  };
  const Condition& condition = trajectory.setup.condition;
  const RowInputs rows = rows_under(condition);
  ReferencePull pull{.weight = options.reference_weight / static_cast<double>(trajectory.setup.plan.trained.size()) /
                               static_cast<double>(trajectory.setup.size())};
  if (pull.weight > 0)
    pull.reference = reference_call(pipeline, condition.untuned ? rows_under(*condition.untuned) : rows, counts).raw;
  const auto again = [&] { return row_call(pipeline, rows, counts); };
  const bool kept = options.retained && options.retained->has(jobs[0].k);
  if (kept) counts.retained += rows.batches;
  const RowCall call = kept             ? std::exchange(options.retained->call(jobs[0].k), {})
                       : options.graphs ? options.graphs->measured(again)
                                        : again();
  const Tensor loss = rows_backward(call, cotangents.size() == 1 ? cotangents[0] : at::cat(cotangents), pull, counts);
  if (options.accumulated) options.accumulated();
  result.regularizer = result.regularizer.defined() ? result.regularizer + loss : loss;
  return jobs[0].with_input ? call.rows.latents.grad() : Tensor();
}

/// Carries G = dL/dclean [B,C,h,w] back through the trajectory and accumulates dL/dparameters of every trained step.
/// Memory: one network backward (times replay_batch), whatever T and K; with retained calls, their graphs until the
/// sweep has passed them. Under StopInput the cotangents of all steps are known before any network call, in closed form
/// if the schedule is linear, and the steps are independent.
template <DiffusionPipeline Pipeline, GradientStopPolicy Stop>
SweepResult adjoint_sweep(Pipeline& pipeline, const Trajectory& trajectory, const Tensor& gradient, const Stop& stop,
                          NetworkCounts& counts, const SweepOptions& options = {}) {
  const torch::NoGradGuard no_grad;
  const StageScope stage(Stage::kBackward);
  const auto& [schedule, plan, condition, guidance] = trajectory.setup;
  REWARD_TUNER_CHECK(
      Stop::kAlwaysStops || plan.weights.empty(),
      "[RewardTuner] step weights other than 1 need StopInput: elsewhere they would leak into the adjoint");
  SweepResult result;
  const auto run = [&](const std::vector<StepJob>& jobs) {
    return run_jobs(pipeline, trajectory, jobs, options, counts, result);
  };
  std::vector<StepJob> waiting;
  const auto flush = [&](std::size_t least) {
    if (waiting.size() < least || waiting.empty()) return;
    run(waiting);
    waiting.clear();
  };
  const auto independent = [&](StepJob job) {
    if (options.retained && options.retained->has(job.k)) return void(run({std::move(job)}));
    waiting.push_back(std::move(job));
    flush(static_cast<std::size_t>(options.replay_batch));
  };
  if (Stop::kAlwaysStops && schedule.linear()) {
    const PerStep<double> factor = closed_form_cotangents(schedule, plan);
    for (int k = plan.last; k >= plan.first(); --k)
      if (plan.trains(k)) independent({k, plan.weight(k) * factor(k) * gradient});
    flush(1);
    return result;
  }
  Tensor adjoint = gradient, owed;  // dL/dlatent(k+1), and dL/dx0(k) through the history of step k+1  [B,C,h,w]
  for (int k = plan.last; k >= plan.first(); --k) {
    auto [next, output] = detail::step_vjp(trajectory, k, adjoint, owed);  // [B,C,h,w] each
    const bool jump = k == plan.last && plan.jumps;
    owed = !jump && schedule.has_history(k) ? -schedule.step(k).history * adjoint : Tensor();
    if (plan.trains(k)) {  // elsewhere the network is a constant
      if constexpr (Stop::kAlwaysStops) {
        independent({k, plan.weight(k) * output});
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
