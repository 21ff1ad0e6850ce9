// The log-density of sampler transitions, row by row, so that a batch may mix steps.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <vector>

#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

/// log N(next; mean(latent, output), c^2 I) of n transitions, reduced over their D numbers: red[ -(next -
/// mean)^2/(2c^2) - log c - log(2 pi)/2 ] (Black et al. 2024, section 4.2; large-scale RL paper Eq. 5). `steps[i]` is
/// row i's sampler step, whose noise c must be > 0 and which must not continue with the step before. latents, outputs,
/// next [n,C,h,w] -> double [n]. Everything is computed in double, so that old and new log-probabilities differ by what
/// the network's output differs. Gradient: to `outputs`.
inline Tensor transition_log_probs(const SamplerSchedule& schedule, const std::vector<int>& steps,
                                   const Tensor& latents, const Tensor& outputs, const Tensor& next,
                                   LogProbReduction reduction) {
  for (const int k : steps)
    REWARD_TUNER_CHECK(!schedule.has_history(k),
                       "[LogProb] a density given the latent alone expected a step of order "
                       "1, got one that continues with the step before: ",
                       k);
  const auto column = [&](auto field) {
    std::vector<double> values;
    for (const int k : steps) values.push_back(field(schedule.step(k)));
    return beside(latents, at::tensor(values, at::kDouble).view({-1, 1, 1, 1}));  // [n,1,1,1]
  };
  const Tensor x = latents.to(at::kDouble), h = outputs.to(at::kDouble);  // [n,C,h,w]
  Tensor mean;                                                            // [n,C,h,w]
  if (schedule.linear()) {
    mean = column([](const SamplerStep& s) { return s.coefficients().latent; }) * x +
           column([](const SamplerStep& s) { return s.coefficients().network; }) * h;
  } else {
    const Tensor clean = clip_clean(column([](const SamplerStep& s) { return s.clean_latent; }) * x +
                                        column([](const SamplerStep& s) { return s.clean_network; }) * h,
                                    schedule.clipping);
    const Tensor epsilon = schedule.rederive_epsilon
                               ? (x - column([](const SamplerStep& s) { return s.alpha; }) * clean) /
                                     column([](const SamplerStep& s) { return s.sigma; })
                               : column([](const SamplerStep& s) { return s.epsilon_latent; }) * x +
                                     column([](const SamplerStep& s) { return s.epsilon_network; }) * h;
    mean = column([](const SamplerStep& s) { return s.alpha_next; }) * clean +
           column([](const SamplerStep& s) { return s.direction; }) * epsilon;
  }
  const Tensor c = column([](const SamplerStep& s) { return s.noise; });                      // [n,1,1,1]
  const Tensor z = (next.to(at::kDouble) - mean) / c;                                         // [n,C,h,w]
  const Tensor density = -0.5 * z.square() - c.log() - 0.5 * std::log(2 * std::numbers::pi);  // [n,C,h,w]
  return reduction == LogProbReduction::kMean ? density.flatten(1).mean(1) : density.flatten(1).sum(1);
}

/// The trained steps that have a density: those with noise.
inline std::vector<int> stochastic_steps(const SamplerSchedule& schedule, const std::vector<int>& trained) {
  std::vector<int> out;
  for (const int k : trained)
    if (schedule.step(k).noise > 0) out.push_back(k);
  return out;
}

/// The factor of each of the steps in a loss over log-probabilities, see StepWeights; mean 1. Every step has noise.
inline std::vector<double> step_weights(const SamplerSchedule& schedule, const std::vector<int>& steps,
                                        StepWeights kind) {
  std::vector<double> weights;
  for (const int k : steps) {
    const StepCoefficients s = schedule.coefficients(k);
    const double ratio = s.noise / std::abs(s.network);  // a step that the network does not enter has no gradient
    REWARD_TUNER_CHECK(kind == StepWeights::kEqual || std::isfinite(ratio),
                       "[LogProb] step weights by noise expected steps that the network's output enters, got step ", k,
                       " (StepWeights::kEqual takes any)");
    weights.push_back(kind == StepWeights::kEqual ? 1.0 : kind == StepWeights::kNoise ? ratio : ratio * ratio);
  }
  const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) /
                      static_cast<double>(std::max<std::size_t>(1, steps.size()));
  for (double& weight : weights) weight /= mean;
  return weights;
}

}  // namespace reward_tuner
