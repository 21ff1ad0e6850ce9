// Definitions of adapted_linear.hpp.
#pragma once
#include <reward_tuner/layers/adapted_linear.hpp>

#include <ATen/ops/linear.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/autograd.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/frozen_ops.hpp>

namespace reward_tuner {

namespace detail {

/// One node where the composition has a dozen, and the adapter's parts are added by the products themselves, without
/// passes of their own. What has r columns is kept as r rows, which the BLAS of LibTorch's builds multiplies several
/// times faster (14 us against 62 to 76 us for N 1024, width 96, r 4). The base is frozen. Once differentiable.
struct AdaptedLinear : torch::autograd::Function<AdaptedLinear> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& down,
                        const Tensor& up, const Tensor& weight, const std::optional<Tensor>& bias, double scale) {
    Tensor y = apply_linear(x, weight, bias).contiguous();  // [...,out]; under autocast in its type
    const auto type = y.scalar_type();
    const Tensor low = down.to(type).mm(rows(x.to(type)).t());  // [r,N]
    rows(y).addmm_(low.t(), up.to(type).t(), 1, scale);
    context->save_for_backward({x, down, up, low});
    // not a saved variable: it is frozen, and may be swapped and swapped back before the backward
    context->saved_data["weight"] = weight;
    context->saved_data["scale"] = scale;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list cotangents) {
    REWARD_TUNER_CHECK(
        !torch::GradMode::is_enabled(),
        "[LoRA] an adapted linear layer supports first derivatives only, got a request for second ones (create_graph)");
    // the backward runs in the types of the forward
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &down = saved[1], &up = saved[2], &low = saved[3];
    const Tensor g = cotangents[0].contiguous();  // [...,out]
    const auto type = g.scalar_type();
    const double scale = context->saved_data["scale"].toDouble();
    const Tensor weight = context->saved_data["weight"].toTensor().to(type);
    const Tensor inner = (scale * up).to(type).t().mm(rows(g).t());  // [r,N]
    Tensor for_x, for_down, for_up;
    if (context->needs_input_grad(0)) {
      for_x = apply_linear(g, weight.t()).contiguous();  // [...,in]
      rows(for_x).addmm_(inner.t(), down.to(type));
      for_x = for_x.to(x.scalar_type());
    }
    if (context->needs_input_grad(1)) for_down = inner.mm(rows(x.to(type))).to(down.scalar_type());  // [r,in]
    // [out,r]
    if (context->needs_input_grad(2)) for_up = (scale * low.mm(rows(g))).t().contiguous().to(up.scalar_type());
    return {for_x, for_down, for_up, Tensor(), Tensor(), Tensor()};
  }

 private:
  // [...,d] -> [N,d], a view of contiguous tensors
  static Tensor rows(const Tensor& x) { return x.reshape({-1, x.size(-1)}); }
};

}  // namespace detail

REWARD_TUNER_INLINE Tensor adapted_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                                          const Tensor& down, const Tensor& up, double scale) {
  const bool frozen = !weight.requires_grad() && !(bias && bias->requires_grad());
  if (frozen || !torch::GradMode::is_enabled()) return detail::AdaptedLinear::apply(x, down, up, weight, bias, scale);
  const auto type = x.scalar_type();
  return apply_linear(x, weight, bias) + at::linear(at::linear(x, down.to(type)), (scale * up).to(type));
}

}  // namespace reward_tuner
