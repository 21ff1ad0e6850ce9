// The layers all networks are made of. Weights stay uninitialized until loaded or `initialize`d, and the linear and
// convolution layers take low-rank adapters, because LibTorch has neither forward hooks nor module replacement.
#pragma once
#include <ATen/ops/conv2d.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/layer_norm.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/layers/fused_ops.hpp>
#include <reward_tuner/layers/new_weights.hpp>

namespace reward_tuner {

/// y = x W^T + b.  x [..., in] -> [..., out]
class Linear : public AdaptableLayer {
 public:
  Linear(std::int64_t in, std::int64_t out, bool with_bias = true) : AdaptableLayer({out, in}, with_bias) {}

  Tensor forward(const Tensor& x) const;
};

class GroupNorm;

/// y = W * x + b.  x [B,in,H,W] -> [B,out,H',W']
class Conv2d : public AdaptableLayer {
 public:
  Conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride = 1, std::int64_t padding = 0,
         bool with_bias = true)
      : AdaptableLayer({out, in, kernel, kernel}, with_bias), stride_(stride), padding_(padding) {}

  Tensor forward(const Tensor& x) const;
  /// The layer, 3x3 with stride and padding 1, on x with its pixels doubled.  [B,in,H,W] -> [B,out,2H,2W]
  Tensor forward_upsampled(const Tensor& x) const;
  /// The layer on silu(norm(x)). With a `strip` above 0 by normalized_conv2d: 3x3, stride and padding 1, frozen
  /// weights, no adapter apart.
  Tensor forward_normalized(const Tensor& x, const GroupNorm& norm, std::int64_t strip) const;

 private:
  /// `apply(w, x, b)` with the layer's weight, plus the adapters where they are apart.
  template <class Apply>
  Tensor adapted(const Tensor& x, const Apply& apply) const {
    if (const Tensor& w = whole_weight(); w.defined()) return apply(w, x, bias_or_none());
    const auto [down, up, scale] = correction();
    const auto type = x.scalar_type();  // the factors are rounded to the input's type: they are small, the input is not
    const Tensor low = apply(down.to(type), x, std::nullopt);                          // [B,r,H',W']
    return apply(weight, x, bias_or_none()) + at::conv2d(low, (scale * up).to(type));  // [B,out,H',W']
  }

  std::int64_t stride_, padding_;
};

/// Normalizes [B,C,...] over groups of channels.
class GroupNorm : public torch::nn::Module {
 public:
  GroupNorm(std::int64_t groups, std::int64_t channels, double eps);
  Tensor forward(const Tensor& x) const { return at::group_norm(x, groups_, weight, bias, eps_); }
  Tensor forward_silu(const Tensor& x) const { return group_norm_silu({x, groups_, weight, bias, eps_}); }
  std::int64_t groups() const { return groups_; }
  double eps() const { return eps_; }
  Tensor weight, bias;

 private:
  std::int64_t groups_;
  double eps_;
};

/// Normalizes the last dimension.
class LayerNorm : public torch::nn::Module {
 public:
  explicit LayerNorm(std::int64_t width, double eps = 1e-5);
  Tensor forward(const Tensor& x) const { return at::layer_norm(x, {width_}, weight, bias, eps_); }
  Tensor weight, bias;

 private:
  std::int64_t width_;
  double eps_;
};

/// Rows of a table by index.  ids int64 [...] -> [..., width]
class Embedding : public torch::nn::Module {
 public:
  Embedding(std::int64_t rows, std::int64_t width) { weight = register_parameter("weight", new_weight({rows, width})); }
  Tensor forward(const Tensor& ids) const { return at::embedding(weight, ids); }
  Tensor weight;
};

/// A module list whose items keep their type; children are named "0", "1", ... as PyTorch's ModuleList does.
template <class M>
class ModuleListOf : public torch::nn::Module {
 public:
  template <class... Args>
  M& emplace_back(Args&&... args) {
    items_.push_back(register_module(std::to_string(items_.size()), std::make_shared<M>(std::forward<Args>(args)...)));
    return *items_.back();
  }
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }
  M& operator[](std::size_t i) const { return *items_[i]; }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  std::vector<std::shared_ptr<M>> items_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/layers.ipp>
#endif
