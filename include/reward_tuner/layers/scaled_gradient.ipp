// Definitions of scaled_gradient.hpp.
#pragma once
#include <reward_tuner/layers/scaled_gradient.hpp>

#include <torch/autograd.h>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

struct ScaledGradient : torch::autograd::Function<ScaledGradient> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, double factor) {
    context->saved_data["factor"] = factor;
    return x.view_as(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list cotangents) {
    return {cotangents[0] * context->saved_data["factor"].toDouble(), Tensor()};
  }
};

}  // namespace detail

REWARD_TUNER_INLINE Tensor scaled_gradient(const Tensor& x, double factor) {
  if (factor == 1 || !x.defined() || !x.requires_grad() || !torch::GradMode::is_enabled()) return x;
  return detail::ScaledGradient::apply(x, factor);
}

}  // namespace reward_tuner
