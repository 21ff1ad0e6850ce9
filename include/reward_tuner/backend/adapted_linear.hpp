// A frozen linear layer and its trained low-rank adapter as one operator of autograd.
#pragma once
#include <ATen/ops/linear.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <optional>

#include <reward_tuner/backend/frozen_ops.hpp>
#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

namespace detail {

/// One node where the composition has a dozen, and the adapter's parts are added by the products themselves, without passes of their own. What has r columns is kept
/// as r rows, which the BLAS of LibTorch's builds multiplies several times faster (14 us against 62 to 76 us for N 1024, width 96, r 4). Once differentiable.
struct AdaptedLinear : torch::autograd::Function<AdaptedLinear> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& down, const Tensor& up, const Tensor& weight, const std::optional<Tensor>& bias, double scale) {
    Tensor y = apply_linear(x, weight, bias);                                         // [...,out]; under autocast in its type
    const auto type = y.scalar_type();
    const Tensor low = down.to(type).mm(x.to(type).flatten(0, -2).t());                 // [r,N]
    y = y.contiguous();
    y.view({-1, y.size(-1)}).addmm_(low.t(), up.to(type).t(), 1, scale);
    context->save_for_backward({x, down, up, low});
    context->saved_data["weight"] = weight;  // not a saved variable: it is frozen, and may be swapped and swapped back before the backward
    context->saved_data["scale"] = scale;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list cotangents) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &down = saved[1], &up = saved[2], &low = saved[3], g = cotangents[0].contiguous();
    const auto type = g.scalar_type();
    const double scale = context->saved_data["scale"].toDouble();
    const Tensor weight = context->saved_data["weight"].toTensor().to(type);
    const Tensor rows = g.view({-1, g.size(-1)});                                     // [N,out]
    const Tensor inner = (scale * up).to(type).t().mm(rows.t());                      // [r,N]
    Tensor for_x, for_down, for_up;
    if (context->needs_input_grad(0)) {
      for_x = apply_linear(g, weight.t()).contiguous();                               // [...,in]
      for_x.view({-1, for_x.size(-1)}).addmm_(inner.t(), down.to(type));
      for_x = for_x.to(x.scalar_type());
    }
    if (context->needs_input_grad(1)) for_down = inner.mm(x.to(type).flatten(0, -2)).to(down.scalar_type());      // [r,in]
    if (context->needs_input_grad(2)) for_up = (scale * low.mm(rows)).t().contiguous().to(up.scalar_type());      // [out,r]
    return {for_x, for_down, for_up, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace detail

/// x (W + scale * up down)^T + b, without forming the sum.  x [...,in], weight [out,in], down [r,in], up [out,r] -> [...,out]. The factors may be of a higher precision than x: products run in the layer's type, gradients
/// come back in the factors'. Errors: weight or bias that require a gradient, which would get none.
inline Tensor adapted_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias, const Tensor& down, const Tensor& up, double scale) {
  REWARD_TUNER_CHECK(!torch::GradMode::is_enabled() || (!weight.requires_grad() && !(bias && bias->requires_grad())),
                     "[LoRA] an adapted layer wanted a frozen weight and bias, found one that requires a gradient");
  return detail::AdaptedLinear::apply(x, down, up, weight, bias, scale);
}

}  // namespace reward_tuner
