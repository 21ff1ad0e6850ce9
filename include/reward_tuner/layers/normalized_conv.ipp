// Definitions of normalized_conv.hpp.
#pragma once
#include <reward_tuner/layers/normalized_conv.hpp>

#include <ATen/OpMathType.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv_transpose2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/var_mean.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/autograd.h>

#include <algorithm>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// The rows of an image a strip at a time.
class Strips {
 public:
  Strips(const Tensor& x, std::int64_t numbers)
      : height_(x.size(2)), rows_(std::max<std::int64_t>(1, numbers / (x.size(0) * x.size(1) * x.size(3)))) {}

  /// Calls f(first row, rows) for each.
  template <class F>
  void each(F f) const {
    for (std::int64_t row = 0; row < height_; row += rows_) f(row, std::min(rows_, height_ - row));
  }
  /// `rows` rows of t [B,C,H,W] and one on either side, where there is one; a row of zeros where there is none, after
  /// f(t's rows). -> [B,C,rows+2,W]
  template <class F>
  Tensor with_neighbors(const Tensor& t, std::int64_t row, std::int64_t rows, F f) const {
    const std::int64_t begin = std::max<std::int64_t>(0, row - 1), end = std::min(height_, row + rows + 1);
    const Tensor own = f(t.narrow(2, begin, end - begin));
    if (end - begin == rows + 2) return own;
    return at::constant_pad_nd(own, {0, 0, begin == row ? 1 : 0, end == row + rows ? 1 : 0});
  }

 private:
  std::int64_t height_, rows_;
};

/// What a normalization does to an image, in the type that it is computed in.
struct Normalization {
  Tensor mean, deviation;         // [B,C,1,1] of a channel's group; the inverse of the deviation
  Tensor norm_weight, norm_bias;  // [1,C,1,1]

  Normalization(const Tensor& x, const NormalizedConv& layer, const Strips& strips) {
    const auto type = at::toOpMathType(x.scalar_type());
    const std::int64_t batch = x.size(0), channels = x.size(1), each = channels / layer.groups;
    const auto sums = x.options().dtype(type);
    Tensor average = at::zeros({batch, layer.groups}, sums), square = at::zeros({batch, layer.groups}, sums);
    double seen = 0;
    strips.each([&](std::int64_t row, std::int64_t rows) {  // means and variances of parts, joined (Chan et al. 1979)
      const Tensor part = x.narrow(2, row, rows).to(type).reshape({batch, layer.groups, -1});  // [B,G,n]
      const auto [variance, mean_here] = at::var_mean(part, at::OptionalIntArrayRef({2}), 0);  // [B,G]
      const auto count = static_cast<double>(part.size(2));
      const Tensor apart = mean_here - average;
      square += count * variance + apart * apart * (seen * count / (seen + count));
      average += apart * (count / (seen + count));
      seen += count;
    });
    const auto by_channel = [&](const Tensor& t) {
      return t.unsqueeze(2).expand({batch, layer.groups, each}).reshape({batch, channels, 1, 1});
    };
    mean = by_channel(average);
    deviation = by_channel((square / seen + layer.eps).rsqrt());
    norm_weight = layer.norm_weight.to(type).view({1, channels, 1, 1});
    norm_bias = layer.norm_bias.to(type).view({1, channels, 1, 1});
  }

  Tensor normalized(const Tensor& rows) const { return (rows.to(mean.scalar_type()) - mean).mul_(deviation); }
  Tensor scaled(const Tensor& normalized_rows) const { return at::addcmul(norm_bias, normalized_rows, norm_weight); }
};

struct NormalizedConv2d : torch::autograd::Function<NormalizedConv2d> {
  static Tensor apply_whole(const Tensor& x, const NormalizedConv& layer, const Strips& strips) {
    const Normalization norm(x, layer, strips);
    Tensor out;
    strips.each([&](std::int64_t row, std::int64_t rows) {
      const Tensor active = strips.with_neighbors(x, row, rows, [&](const Tensor& t) {
        Tensor scaled = norm.scaled(norm.normalized(t));
        return at::silu_(scaled).to(x.scalar_type());
      });
      const Tensor part = at::conv2d(active, layer.weight, layer.bias, at::IntArrayRef{1, 1}, at::IntArrayRef{0, 1});
      if (rows == x.size(2)) out = part;
      else if (!out.defined())  // laid out as its parts: channels last stays so
        out = at::empty({x.size(0), part.size(1), x.size(2), x.size(3)},
                        part.options().memory_format(part.suggest_memory_format()));
      if (rows != x.size(2)) out.narrow(2, row, rows).copy_(part);
    });
    return out;
  }

  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const NormalizedConv& layer,
                        std::int64_t strip) {
    context->save_for_backward({x});
    // no saved variables: they are frozen, and may be swapped and swapped back before the backward
    context->saved_data["norm_weight"] = layer.norm_weight;
    context->saved_data["norm_bias"] = layer.norm_bias;
    context->saved_data["groups"] = layer.groups;
    context->saved_data["eps"] = layer.eps;
    context->saved_data["weight"] = layer.weight;
    context->saved_data["strip"] = strip;
    return apply_whole(x, layer, Strips(x, strip));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list cotangents) {
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const Tensor x = context->get_saved_variables()[0];  // [B,C,H,W]
    const Tensor& cotangent = cotangents[0];             // [B,out,H,W]
    const NormalizedConv layer{.norm_weight = context->saved_data["norm_weight"].toTensor(),
                               .norm_bias = context->saved_data["norm_bias"].toTensor(),
                               .groups = context->saved_data["groups"].toInt(),
                               .eps = context->saved_data["eps"].toDouble(),
                               .weight = context->saved_data["weight"].toTensor(),
                               .bias = std::nullopt};
    const Strips strips(x, context->saved_data["strip"].toInt());
    const Normalization norm(x, layer, strips);
    const Tensor weight = layer.weight.to(cotangent.scalar_type());
    const auto type = norm.mean.scalar_type();
    Tensor gradient = at::empty_like(x);                                         // [B,C,H,W]
    Tensor sum = at::zeros_like(norm.mean), moment = at::zeros_like(norm.mean);  // [B,C,1,1]
    strips.each([&](std::int64_t row, std::int64_t rows) {
      const Tensor behind = strips.with_neighbors(cotangent, row, rows, [](const Tensor& t) { return t; });
      const Tensor active =
          at::conv_transpose2d(behind, weight, /*bias=*/{}, at::IntArrayRef{1, 1}, at::IntArrayRef{2, 1});  // [B,C,r,W]
      const Tensor normalized = norm.normalized(x.narrow(2, row, rows));                                    // [B,C,r,W]
      const Tensor before =
          at::silu_backward(active.to(type), norm.scaled(normalized)).mul_(norm.norm_weight);  // [B,C,r,W]
      sum += before.sum({2, 3}, /*keepdim=*/true);
      moment += (before * normalized).sum({2, 3}, /*keepdim=*/true);
      gradient.narrow(2, row, rows).copy_(before);
    });
    const auto group_mean = [&](const Tensor& sums) {  // [B,C,1,1] -> [B,C,1,1]
      const std::int64_t batch = x.size(0), each = x.size(1) / layer.groups;
      const Tensor means = sums.view({batch, layer.groups, each}).mean(2, /*keepdim=*/true) /
                           static_cast<double>(x.size(2) * x.size(3));  // [B,G,1]
      return means.expand({batch, layer.groups, each}).reshape(sums.sizes());
    };
    const Tensor mean = group_mean(sum), slope = group_mean(moment);
    strips.each([&](std::int64_t row, std::int64_t rows) {
      Tensor part = gradient.narrow(2, row, rows);  // [B,C,r,W]
      part.copy_((part.to(type) - mean).sub_(norm.normalized(x.narrow(2, row, rows)).mul_(slope)).mul_(norm.deviation));
    });
    return {gradient, Tensor(), Tensor()};
  }
};

}  // namespace detail

REWARD_TUNER_INLINE Tensor normalized_conv2d(const Tensor& x, const NormalizedConv& layer, std::int64_t strip) {
  if (!torch::GradMode::is_enabled()) return detail::NormalizedConv2d::apply_whole(x, layer, detail::Strips(x, strip));
  for (const Tensor& t : {layer.norm_weight, layer.norm_bias, layer.weight, layer.bias.value_or(Tensor())})
    REWARD_TUNER_CHECK(!t.defined() || !t.requires_grad(),
                       "[NormalizedConv] expected frozen weights, got one that wants a gradient");
  if (!x.requires_grad()) return detail::NormalizedConv2d::apply_whole(x, layer, detail::Strips(x, strip));
  return detail::NormalizedConv2d::apply(x, layer, strip);
}

}  // namespace reward_tuner
