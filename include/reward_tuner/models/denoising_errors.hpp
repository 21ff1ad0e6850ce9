// The ordinary training loss of a denoiser, one number per sample, which pre-training, reward-weighted training
// and RAFT minimize.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

/// mean over elements of (target - network(alpha_t*z + sigma_t*e, t, c))^2, target e, v, z or e - z as the network
/// predicts (Ho et al. 2020, Eq. 14; Salimans & Ho 2022, appendix D; rectified flow, Liu et al. 2023, Eq. 1). No
/// guidance. latents z, noise e [B,C,h,w], training steps [B] (NoiseSchedule::training) -> [B].
/// Gradient: to the network's trainable weights.
/// Cost: one network call.
template <class Pipeline>
Tensor denoising_errors(Pipeline& pipeline, const Tensor& latents, const std::vector<std::int64_t>& steps,
                        const Tensor& noise, const Conditioning& conditioning) {
  const NoiseSchedule& schedule = pipeline.noise_schedule();
  std::vector<std::int64_t> timesteps;
  std::vector<double> signal, noises;
  for (const std::int64_t step : steps) {
    const auto [timestep, level] = schedule.training(step);
    timesteps.push_back(timestep);
    signal.push_back(level.alpha);
    noises.push_back(level.sigma);
  }
  const auto own = [&](const std::vector<double>& numbers) {
    return beside(latents, at::tensor(numbers, at::kDouble).view({-1, 1, 1, 1}).to(latents.scalar_type()));
  };
  const Tensor alpha = own(signal), sigma = own(noises);  // [B,1,1,1]
  // [B,C,h,w]
  const Tensor output = pipeline.predict(alpha * latents + sigma * noise,
                                         beside(latents, at::tensor(timesteps, at::kLong)), conditioning);
  Tensor target = noise;  // [B,C,h,w]
  if (schedule.config().prediction == PredictionType::kVPrediction) target = alpha * noise - sigma * latents;
  if (schedule.config().prediction == PredictionType::kSample) target = latents;
  if (schedule.config().prediction == PredictionType::kFlow) target = noise - latents;
  return (output - target).square().flatten(1).mean(1);
}

}  // namespace reward_tuner
