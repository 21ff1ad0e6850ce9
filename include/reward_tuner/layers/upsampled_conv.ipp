// Definitions of upsampled_conv.hpp.
#pragma once
#include <reward_tuner/layers/upsampled_conv.hpp>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/autograd.h>

#include <cstdint>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/frozen_ops.hpp>

namespace reward_tuner {

namespace detail {

/// The 4x4 kernel whose transposed convolution of stride 2 and padding 1 equals doubling the pixels and convolving with
/// `weight`.  [out,in,3,3] -> [in,out,4,4] An input pixel stands for 2x2 equal ones, so that each of its 4x4 outputs
/// gathers the up to four weights that meet it.
inline Tensor doubling_kernel(const Tensor& weight) {
  Tensor gather = at::zeros({3, 3, 4, 4}, weight.options().requires_grad(false));
  for (std::int64_t i = 0; i < 3; ++i)
    for (std::int64_t j = 0; j < 3; ++j) gather[i][j].narrow(0, 2 - i, 2).narrow(1, 2 - j, 2).fill_(1);
  const Tensor kernel = weight.flatten(2).matmul(gather.view({9, 16}));  // [out,in,16]
  return kernel.unflatten(2, {4, 4}).transpose(0, 1);                    // [in,out,4,4]
}

/// The convolution above with a frozen weight: keeps nothing of the input for the backward.
struct FrozenUpsampledConv2d : torch::autograd::Function<FrozenUpsampledConv2d> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias) {
    // not a saved variable: it is frozen, and may be swapped and swapped back before the backward
    context->saved_data["weight"] = weight;
    return at::conv_transpose2d(x, doubling_kernel(weight), bias, /*stride=*/2, /*padding=*/1);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list cotangents) {
    // the backward runs in the types of the forward
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const Tensor kernel = doubling_kernel(context->saved_data["weight"].toTensor()).to(cotangents[0].scalar_type());
    return {at::conv2d(cotangents[0], kernel, /*bias=*/{}, /*stride=*/2, /*padding=*/1), Tensor(), Tensor()};
  }
};

}  // namespace detail

REWARD_TUNER_INLINE Tensor upsampled_conv2d(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  if (!x.device().is_cpu())
    return apply_conv2d(at::upsample_nearest2d(x, at::IntArrayRef{2 * x.size(2), 2 * x.size(3)}), weight, bias, 1, 1);
  const bool frozen = !weight.requires_grad() && !(bias && bias->requires_grad());
  if (torch::GradMode::is_enabled() && frozen && x.requires_grad())
    return detail::FrozenUpsampledConv2d::apply(x, weight, bias);
  return at::conv_transpose2d(x, detail::doubling_kernel(weight), bias, /*stride=*/2, /*padding=*/1);
}

}  // namespace reward_tuner
