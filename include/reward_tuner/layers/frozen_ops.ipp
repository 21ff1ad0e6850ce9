// Definitions of frozen_ops.hpp.
#pragma once
#include <reward_tuner/layers/frozen_ops.hpp>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <torch/autograd.h>

#include <array>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// conv2d whose weight gets no gradient. The ordinary one saves its input for the weight's gradient even then, which is
/// a large share of what a frozen network keeps for its backward.
struct FrozenConv2d : torch::autograd::Function<FrozenConv2d> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, std::int64_t stride, std::int64_t padding) {
    // not a saved variable: it is frozen, and may be swapped and swapped back before the backward
    context->saved_data["weight"] = weight;
    context->saved_data["shape"] = x.sizes().vec();
    context->saved_data["channels_last"] = x.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    return at::conv2d(x, weight, bias, stride, padding);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list cotangents) {
    const auto shape = context->saved_data["shape"].toIntVector();
    const Tensor weight = context->saved_data["weight"].toTensor();
    const auto stride = context->saved_data["stride"].toInt(), padding = context->saved_data["padding"].toInt();
    const auto format =
        context->saved_data["channels_last"].toBool() ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    // only the shape and the layout of the input count for its gradient: the memory is never read
    const Tensor shape_of_input =
        at::empty(shape, weight.options().dtype(cotangents[0].scalar_type()).memory_format(format));
    const Tensor gradient = std::get<0>(
        at::convolution_backward(cotangents[0], shape_of_input, weight.to(cotangents[0].scalar_type()),
                                 /*bias_sizes=*/at::OptionalIntArrayRef(), {stride, stride}, {padding, padding}, {1, 1},
                                 /*transposed=*/false, {0, 0}, /*groups=*/1, std::array<bool, 3>{true, false, false}));
    return {gradient, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace detail

REWARD_TUNER_INLINE Tensor apply_conv2d(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
                                        std::int64_t stride, std::int64_t padding) {
  const bool frozen = !weight.requires_grad() && !(bias && bias->requires_grad());
  if (!torch::GradMode::is_enabled() || !frozen || !x.requires_grad())
    return at::conv2d(x, weight, bias, stride, padding);
  return detail::FrozenConv2d::apply(x, weight, bias, stride, padding);
}

REWARD_TUNER_INLINE Tensor apply_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  // multiplications; below, the convolution's own set-up costs more than it saves
  constexpr std::int64_t kWorthIt = 4'000'000;
  const bool suits = x.dim() == 3 && x.device().is_cpu() && x.scalar_type() == at::kFloat &&
                     weight.scalar_type() == at::kFloat && x.size(0) * x.size(1) >= 256 &&
                     x.numel() * weight.size(0) >= kWorthIt && x.is_contiguous();
  if (!suits) return at::linear(x, weight, bias);
  const Tensor pixels = x.transpose(1, 2).unsqueeze(2);  // [B,in,1,L], channels last without a copy
  const Tensor y = apply_conv2d(pixels, weight.unsqueeze(2).unsqueeze(3), bias);  // [B,out,1,L]
  return y.squeeze(2).transpose(1, 2);                                            // [B,L,out]
}

}  // namespace reward_tuner
