// Clamps images to [0,1] without losing all gradient of saturated pixels.
#pragma once
#include <ATen/ops/clamp.h>

#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The leak of every reward unless its options say otherwise: a share of the gradient, in [0,1] (DRTune: not given).
inline constexpr double kDefaultLeak = 0.05;

/// Throws unless `leak` is in [0,1]. `reward` heads the message.
inline void check_leak(std::string_view reward, double leak) {
  REWARD_TUNER_CHECK(leak >= 0 && leak <= 1, "[", reward, "] leak must be in [0, 1], got ", leak);
}

/// min(max(x, 0), 1) whose gradient is 1 inside [0,1] and `leak` outside, so that saturated pixels can recover. Any
/// shape.
inline Tensor leaky_clamp(const Tensor& x, double leak) {
  const Tensor inside = at::clamp(x, 0, 1);
  if (leak == 0) return inside;
  const Tensor excess = x - inside;                   // gradient 0 inside, 1 outside
  return inside + leak * (excess - excess.detach());  // adds exactly zero to the value
}

}  // namespace reward_tuner
