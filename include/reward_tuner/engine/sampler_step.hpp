// One sampler step on tensors, clipping included. Network-free, so its own vector-Jacobian product is cheap.
#pragma once
#include <ATen/ops/clamp.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/quantile.h>

#include <vector>

#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Applies a schedule's clipping to a predicted clean sample [B,...]. The quantile of dynamic thresholding carries
/// gradient.
inline Tensor clip_clean(const Tensor& clean, const CleanClipping& clipping) {
  switch (clipping.kind) {
    case CleanClipping::Kind::kNone:
      return clean;
    case CleanClipping::Kind::kRange:
      return clean.clamp(-clipping.range, clipping.range);
    case CleanClipping::Kind::kDynamic: {  // Saharia et al. 2022, section 2.3
      std::vector<std::int64_t> broadcast(static_cast<std::size_t>(clean.dim()), 1);
      broadcast[0] = clean.size(0);
      // [B,1,..]
      const Tensor bound =
          at::quantile(clean.flatten(1).abs(), clipping.quantile, 1).clamp(1.0, clipping.max).reshape(broadcast);
      return at::minimum(at::maximum(clean, -bound), bound) / bound;
    }
  }
  return clean;
}

/// The one-shot prediction of the clean sample at step k.  latent, output [B,C,h,w] -> [B,C,h,w]
inline Tensor predict_clean(const SamplerSchedule& schedule, int k, const Tensor& latent, const Tensor& output) {
  const SamplerStep& s = schedule.step(k);
  return clip_clean(s.clean_latent * latent + s.clean_network * output, schedule.clipping);
}

/// What latent(k) and the output there contribute to latent(k+1): all of it but noise and history.
/// latent, output [B,C,h,w] -> [B,C,h,w]
inline Tensor step_present(const SamplerSchedule& schedule, int k, const Tensor& latent, const Tensor& output) {
  if (schedule.linear()) {
    const auto [a, b, c] = schedule.coefficients(k);
    return (a * latent).add(output, b);
  }
  const SamplerStep& s = schedule.step(k);
  const Tensor clean = predict_clean(schedule, k, latent, output);
  const Tensor epsilon = schedule.rederive_epsilon ? (latent - s.alpha * clean) / s.sigma
                                                   : s.epsilon_latent * latent + s.epsilon_network * output;
  return (s.alpha_next + s.history) * clean + s.direction * epsilon;
}

/// latent(k+1) without its noise. `before` is the clean prediction of step k-1, needed where the step has history.
/// latent, output, before [B,C,h,w] -> [B,C,h,w]
inline Tensor step_mean(const SamplerSchedule& schedule, int k, const Tensor& latent, const Tensor& output,
                        const Tensor& before = {}) {
  const Tensor present = step_present(schedule, k, latent, output);
  if (!schedule.has_history(k)) return present;
  REWARD_TUNER_CHECK(before.defined(), "[Sampler] step ", k,
                     " continues with the clean prediction of the step before, got none");
  return present.add(before, -schedule.step(k).history);
}

}  // namespace reward_tuner
