// Definitions of layers.hpp.
#pragma once
#include <reward_tuner/models/layers.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/adapted_linear.hpp>
#include <reward_tuner/layers/frozen_ops.hpp>
#include <reward_tuner/layers/normalized_conv.hpp>
#include <reward_tuner/layers/upsampled_conv.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Tensor Linear::forward(const Tensor& x) const {
  if (const Tensor& w = whole_weight(); w.defined()) return apply_linear(x, w, bias_or_none());
  const auto [down, up, scale] = correction();
  return adapted_linear(x, weight, bias_or_none(), down, up, scale);
}

REWARD_TUNER_INLINE Tensor Conv2d::forward(const Tensor& x) const {
  return adapted(x, [this](const Tensor& w, const Tensor& input, const std::optional<Tensor>& b) {
    return apply_conv2d(input, w, b, stride_, padding_);
  });
}

REWARD_TUNER_INLINE Tensor Conv2d::forward_upsampled(const Tensor& x) const {
  REWARD_TUNER_CHECK(weight.size(2) == 3 && weight.size(3) == 3 && stride_ == 1 && padding_ == 1,
                     "[Conv2d] forward_upsampled expected a 3x3 layer with stride 1 and padding 1, got a kernel of ",
                     weight.size(2), "x", weight.size(3), " with stride ", stride_, " and padding ", padding_);
  return adapted(x, [](const Tensor& w, const Tensor& input, const std::optional<Tensor>& b) {
    return upsampled_conv2d(input, w, b);
  });
}

REWARD_TUNER_INLINE Tensor Conv2d::forward_normalized(const Tensor& x, const GroupNorm& norm,
                                                      std::int64_t strip) const {
  if (strip == 0) return forward(norm.forward_silu(x));
  const Tensor& w = whole_weight();
  REWARD_TUNER_CHECK(w.defined(), "[Conv2d] a layer that works in strips expected no adapter, got one");
  REWARD_TUNER_CHECK(w.size(2) == 3 && w.size(3) == 3 && stride_ == 1 && padding_ == 1,
                     "[Conv2d] forward_normalized in strips expected a 3x3 layer with stride 1 and padding 1, got a "
                     "kernel of ",
                     w.size(2), "x", w.size(3), " with stride ", stride_, " and padding ", padding_);
  return normalized_conv2d(x,
                           {.norm_weight = norm.weight,
                            .norm_bias = norm.bias,
                            .groups = norm.groups(),
                            .eps = norm.eps(),
                            .weight = w,
                            .bias = bias_or_none()},
                           strip);
}

REWARD_TUNER_INLINE GroupNorm::GroupNorm(std::int64_t groups, std::int64_t channels, double eps)
    : groups_(groups), eps_(eps) {
  REWARD_TUNER_CHECK(groups > 0 && channels % groups == 0,
                     "[GroupNorm] channels must be a multiple of the groups, got ", channels, " channels and ", groups,
                     " groups");
  weight = register_parameter("weight", new_weight({channels}));
  bias = register_parameter("bias", new_weight({channels}));
}

REWARD_TUNER_INLINE LayerNorm::LayerNorm(std::int64_t width, double eps) : width_(width), eps_(eps) {
  weight = register_parameter("weight", new_weight({width}));
  bias = register_parameter("bias", new_weight({width}));
}

}  // namespace reward_tuner
