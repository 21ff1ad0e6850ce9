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

/// mean over elements of (target - network(alpha_t*z + sigma_t*e, t, c))^2, target e, v or z as the network predicts
/// (Ho et al. 2020, Eq. 14; Salimans & Ho 2022, appendix D). No guidance. latents z, noise e [B,C,h,w], timesteps [B]
/// -> [B]. Gradient: to the network's trainable weights. One network call.
template <class Pipeline>
Tensor denoising_errors(Pipeline& pipeline, const Tensor& latents, const std::vector<std::int64_t>& timesteps,
                        const Tensor& noise, const Conditioning& conditioning) {
  const NoiseSchedule& schedule = pipeline.noise_schedule();
  std::vector<double> signal;
  for (const std::int64_t t : timesteps) signal.push_back(schedule.abar(t));
  const Tensor abar = at::tensor(signal, at::kDouble).view({-1, 1, 1, 1});  // [B,1,1,1]
  const auto own = [&](const Tensor& numbers) { return beside(latents, numbers.to(latents.scalar_type())); };
  const Tensor alpha = own(abar.sqrt()), sigma = own((1 - abar).sqrt());  // [B,1,1,1]
  // [B,C,h,w]
  const Tensor output = pipeline.predict(alpha * latents + sigma * noise,
                                         beside(latents, at::tensor(timesteps, at::kLong)), conditioning);
  Tensor target = noise;  // [B,C,h,w]
  if (schedule.config().prediction == PredictionType::kVPrediction) target = alpha * noise - sigma * latents;
  if (schedule.config().prediction == PredictionType::kSample) target = latents;
  return (output - target).square().flatten(1).mean(1);
}

}  // namespace reward_tuner
