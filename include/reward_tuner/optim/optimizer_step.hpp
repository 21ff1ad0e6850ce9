// One optimizer step of an update, clipped and guarded.
#pragma once
#include <torch/types.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>

namespace reward_tuner {

/// Clips the gradients, which are `scale` times too large, to a norm of `largest` (0: no limit) and steps. If the
/// gradient is not finite it is dropped and nothing is changed. Returns the norm before clipping.
/// Errors: no parameter has a gradient.
template <Optimizer Optim>
double guarded_step(Optim& optimizer, double largest, double scale = 1) {
  const torch::NoGradGuard no_grad;
  const double norm = clip_gradients(optimizer, largest, scale);
  REWARD_TUNER_CHECK(norm >= 0 || std::isnan(norm),
                     "[RewardTuner] no parameter of the optimizer received a gradient: it must hold tensors of this "
                     "pipeline (Lora::parameters())");
  if (std::isfinite(norm)) optimizer.step();
  else optimizer.zero_grad();
  return norm;
}

}  // namespace reward_tuner
