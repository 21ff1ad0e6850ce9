// One update as a single retained autograd graph, obvious and slow: what the adjoint sweep must equal. And the function
// whose finite differences are the stopped gradient: the same recursion with the network's inputs frozen.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/engine/sample_noise.hpp>
#include <reward_tuner/models/condition.hpp>

#include <tests/reference/plain_sampler.hpp>

namespace reward_tuner::reference {

/// What an unrolled update is told beside the pipeline.
struct UnrolledSetup {
  PlainSampler sampler;
  StepPlan plan = {};
  bool stop_input = true;
  std::optional<double> input_gain = std::nullopt;  ///< the share that enters the input, instead of stop_input
  double guidance = 1;
  double kl_weight = 0;                        ///< KlToReference
  double scale = 1;                            ///< DirectGradient
  std::vector<double> explored_guidance = {};  ///< [T] instead of `guidance` (unrolled_update only)
};

struct UnrolledResult {
  double loss = 0;
  Tensor clean;
  std::vector<Tensor> gradients;
  std::vector<Tensor> inputs, outputs;  ///< [T] network inputs and guided outputs, detached
};

using LatentReward = std::function<Tensor(const Tensor& clean)>;  ///< [B,C,h,w] -> [B]

/// u and c from two separate calls, never a doubled batch.
template <class Pipeline>
std::pair<Tensor, Tensor> plain_outputs(Pipeline& pipeline, const Tensor& x, double timestep,
                                        const Condition& condition, double guidance) {
  const Tensor times = at::full({x.size(0)}, timestep, at::kDouble);
  const Tensor c = pipeline.predict(x, times, condition.positive);
  return {guidance <= 1 ? c : pipeline.predict(x, times, condition.negative), c};
}

/// The loop of Wu et al. 2024, Alg. 1 (sign corrected) with every graph kept. `streams` are consumed.
template <class Pipeline, class Noise>
UnrolledResult unrolled_update(Pipeline& pipeline, const UnrolledSetup& setup, const Condition& condition,
                               Noise&& streams, const LatentReward& reward) {
  const torch::AutoGradMode grad(true);
  const auto levels = plain_levels(setup.sampler);
  const auto shape = pipeline.latent_shape(condition.size());
  UnrolledResult result;
  Tensor x = plain_start(setup.sampler) * streams.normal(shape, pipeline.latent_options()), before;
  Tensor regularizer = at::zeros({}, pipeline.latent_options());
  for (int k = 0; k <= setup.plan.last; ++k) {
    const auto& level = levels[static_cast<std::size_t>(k)];
    Tensor input = setup.stop_input ? x.detach() : x;
    if (setup.input_gain) input = x.detach() + *setup.input_gain * (x - x.detach());
    const double guidance =
        setup.explored_guidance.empty() ? setup.guidance : setup.explored_guidance[static_cast<std::size_t>(k)];
    const auto [u, c] = plain_outputs(pipeline, input, level.timestep, condition, guidance);
    Tensor h = u + guidance * (c - u);
    result.inputs.push_back(x.detach());
    result.outputs.push_back(h.detach());
    if (!setup.plan.trains(k)) {
      h = h.detach();
    } else if (setup.kl_weight > 0) {
      Tensor ru, rc;
      {
        const torch::NoGradGuard no_grad;
        const auto scope = pipeline.reference_scope();
        std::tie(ru, rc) =
            plain_outputs(pipeline, input.detach(), level.timestep, condition.reference(), setup.guidance);
      }
      regularizer = regularizer + setup.kl_weight / static_cast<double>(setup.plan.trained.size()) * 0.5 *
                                      ((u - ru).square().mean() + (c - rc).square().mean());
    }
    const Tensor clean = plain_clean(setup.sampler, level, x, h);
    if (k == setup.plan.last && setup.plan.jumps) {
      x = clean;
    } else {
      x = plain_mean(setup.sampler, level, x, h, before);
      if (const double noise = plain_noise(setup.sampler, level); noise > 0)
        x = x + noise * streams.normal(shape, pipeline.latent_options());
    }
    before = clean;
  }
  result.clean = x.detach();
  const Tensor loss = -setup.scale * reward(x).mean() + regularizer;
  result.loss = loss.template item<double>();
  auto parameters = pipeline.parameters();
  result.gradients.resize(parameters.size());
  if (loss.requires_grad())
    result.gradients =
        torch::autograd::grad({loss}, {parameters.begin(), parameters.end()}, {}, {}, false, /*allow_unused=*/true);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (!result.gradients[i].defined()) result.gradients[i] = at::zeros_like(parameters[i]);
  return result;
}

/// The loss at the pipeline's present weights with the untrained outputs, and if `stop_input` the trained steps'
/// network inputs, of `recorded`.
template <class Pipeline>
double frozen_loss(Pipeline& pipeline, const UnrolledSetup& setup, const UnrolledResult& recorded,
                   const Condition& condition, SampleNoise streams, const LatentReward& reward) {
  const torch::NoGradGuard no_grad;
  const auto levels = plain_levels(setup.sampler);
  const auto shape = pipeline.latent_shape(condition.size());
  Tensor x = plain_start(setup.sampler) * streams.normal(shape, pipeline.latent_options()), before;
  for (int k = 0; k <= setup.plan.last; ++k) {
    const auto at_k = static_cast<std::size_t>(k);
    Tensor h = recorded.outputs[at_k];
    if (setup.plan.trains(k)) {
      const auto [u, c] = plain_outputs(pipeline, setup.stop_input ? recorded.inputs[at_k] : x, levels[at_k].timestep,
                                        condition, setup.guidance);
      h = u + setup.guidance * (c - u);
    }
    const Tensor clean = plain_clean(setup.sampler, levels[at_k], x, h);
    if (k == setup.plan.last && setup.plan.jumps) {
      x = clean;
    } else {
      x = plain_mean(setup.sampler, levels[at_k], x, h, before);
      if (const double noise = plain_noise(setup.sampler, levels[at_k]); noise > 0)
        x = x + noise * streams.normal(shape, pipeline.latent_options());
    }
    before = clean;
  }
  return -setup.scale * reward(x).mean().template item<double>();
}

}  // namespace reward_tuner::reference
