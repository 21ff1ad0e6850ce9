// The backward pass of an update: one adjoint sweep over the sampler, with the trained network calls replayed one at a time.
#pragma once
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
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
    return jump ? StepCotangents{s.clean_latent * adjoint, s.clean_network * adjoint} : StepCotangents{a * adjoint, b * adjoint};
  }
  const torch::AutoGradMode grad(true);  // clipping: let autograd differentiate the step, which holds no network call
  const Tensor latent = trajectory.latents[static_cast<std::size_t>(k)].detach().requires_grad_();
  const Tensor output = trajectory.outputs[static_cast<std::size_t>(k)].detach().requires_grad_();
  const Tensor next = jump ? predict_clean(trajectory.schedule, k, latent, output) : step_mean(trajectory.schedule, k, latent, output);
  auto g = torch::autograd::grad({next}, {latent, output}, {adjoint}, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  for (Tensor& t : g)
    if (!t.defined()) t = at::zeros_like(adjoint);
  return {g[0], g[1]};
}

}  // namespace detail

/// The factors that turn the reward's gradient G = dL/dclean into the cotangent of each trained step's output under StopInput, in closed
/// form: cotangent(k) = factor(k) * G. Linear schedules only. In alpha-free variables this is kappa - sigma (algorithms: DRTune-paper
/// Eq. 4 read as a statement about gradients); here it is the running product of the steps' latent factors, exact for every output space.
inline std::vector<double> closed_form_cotangents(const SamplerSchedule& schedule, const StepPlan& plan) {
  std::vector<double> factors(plan.trained.size());
  double carried = 1.0;  // dL/dlatent(k+1) / G
  for (int k = plan.last; k >= plan.first(); --k) {
    const SamplerStep& s = schedule.steps[static_cast<std::size_t>(k)];
    const auto [a, b, c] = s.coefficients();
    const bool jump = k == plan.last && plan.jumps;
    if (plan.trains(k)) factors[static_cast<std::size_t>(std::lower_bound(plan.trained.begin(), plan.trained.end(), k) - plan.trained.begin())] = (jump ? s.clean_network : b) * carried;
    carried *= jump ? s.clean_latent : a;
  }
  return factors;
}

/// Replays trained step k with gradient and accumulates into the parameters' gradients. `cotangent` is dL/dguided output.
/// Returns dL/dlatent(k) through the network, undefined unless `with_input`.
template <DiffusionPipeline Pipeline, RegularizerPolicy Regularizer>
Tensor replay_step(Pipeline& pipeline, const Trajectory& trajectory, int k, const Tensor& cotangent, bool with_input, const Regularizer& regularizer,
                   double batch_share, NetworkCounts& counts, SweepResult& result) {
  const auto at_k = static_cast<std::size_t>(k);
  const double w = trajectory.guidance[at_k];
  const std::int64_t timestep = trajectory.schedule.timestep(k);
  Tensor reference;  // [B|2B,C,h,w]
  if constexpr (Regularizer::kNeedsReference) {
    if (regularizer.weight() > 0) {
      const torch::NoGradGuard no_grad;
      const auto scope = pipeline.reference_scope();
      reference = guided_call(pipeline, trajectory.latents[at_k], timestep, trajectory.condition, w, counts).raw;
    }
  }
  const torch::AutoGradMode grad(true);
  Tensor input = trajectory.latents[at_k].detach();  // [B,C,h,w]
  if (with_input) input.requires_grad_();
  const Tensor raw = guided_call(pipeline, input, timestep, trajectory.condition, w, counts).raw;  // [B|2B,C,h,w]
  REWARD_TUNER_CHECK(raw.requires_grad(), "[RewardTuner] the network's output does not depend on anything trainable: attach a LoRA, or let parameters require gradients");
  Tensor raw_cotangent = split_cotangent(cotangent, w);  // [B|2B,C,h,w]
  if (reference.defined()) {
    const Tensor difference = raw.detach() - reference;
    const double per_step = regularizer.weight() * batch_share / static_cast<double>(trajectory.plan.trained.size());
    result.regularizer += per_step * difference.square().mean().template item<double>();
    raw_cotangent = raw_cotangent + (2.0 * per_step / static_cast<double>(difference.numel())) * difference;
  }
  ++counts.backwards;
  torch::autograd::backward({raw}, {raw_cotangent});
  return with_input ? input.grad() : Tensor();
}

/// Carries G = dL/dclean [B,C,h,w] back through the trajectory and accumulates dL/dparameters of every trained step.
/// Memory: one network backward, whatever T and K. Under StopInput a linear schedule needs no sweep: all cotangents are multiples of G.
template <DiffusionPipeline Pipeline, GradientStopPolicy Stop, RegularizerPolicy Regularizer>
SweepResult adjoint_sweep(Pipeline& pipeline, const Trajectory& trajectory, const Tensor& gradient, const Stop& stop, const Regularizer& regularizer,
                          NetworkCounts& counts, double batch_share = 1.0) {
  const torch::NoGradGuard no_grad;
  const StepPlan& plan = trajectory.plan;
  SweepResult result;
  if constexpr (Stop::kAlwaysStops) {
    if (trajectory.schedule.linear()) {
      const auto factors = closed_form_cotangents(trajectory.schedule, plan);
      for (std::size_t i = 0; i < factors.size(); ++i) {
        const int k = plan.trained[i];
        replay_step(pipeline, trajectory, k, plan.weight(k) * factors[i] * gradient, false, regularizer, batch_share, counts, result);
      }
      return result;
    }
  } else {
    REWARD_TUNER_CHECK(plan.weights.empty(), "[RewardTuner] step weights other than 1 need StopInput: elsewhere they would leak into the adjoint");
  }
  Tensor adjoint = gradient;  // dL/dlatent(k+1)  [B,C,h,w]
  for (int k = plan.last; k >= plan.first(); --k) {
    auto [next, output] = detail::step_vjp(trajectory, k, adjoint);  // [B,C,h,w] each
    if (plan.trains(k)) {                                            // elsewhere the network is a constant
      const double gain = stop.input_gain(k);
      const bool with_input = gain > 0 && k > plan.first();          // below the first trained step nobody asks for the adjoint
      const Tensor through = replay_step(pipeline, trajectory, k, plan.weight(k) * output, with_input, regularizer, batch_share, counts, result);
      if (with_input) next = next.add(through, gain);                // [B,C,h,w]
    }
    adjoint = next;
  }
  return result;
}

}  // namespace reward_tuner
