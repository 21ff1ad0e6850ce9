// Clamps images to [0,1] without losing all gradient of saturated pixels.
#pragma once
#include <ATen/ops/clamp.h>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// min(max(x, 0), 1) whose gradient is 1 inside [0,1] and `leak` outside, so that saturated pixels can come back. Any
/// shape.
inline Tensor leaky_clamp(const Tensor& x, double leak) {
  const Tensor inside = at::clamp(x, 0, 1);
  if (leak == 0) return inside;
  const Tensor excess = x - inside;                   // gradient 0 inside, 1 outside
  return inside + leak * (excess - excess.detach());  // adds exactly zero to the value
}

}  // namespace reward_tuner
