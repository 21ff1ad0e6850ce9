// Attention and the transformer that runs over the pixels of a feature map, with diffusers' parameter names.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Options of one attention layer.
struct AttentionOptions {
  std::int64_t heads = 1;        ///< number of heads; must divide the width
  std::int64_t context = 0;      ///< width of keys and values, 0 = the width of the queries (self-attention)
  bool projection_bias = false;  ///< bias in to_q, to_k and to_v (the VAE has it, the UNet has not)
  bool upcast = false;           ///< products and softmax in at least float32 whatever the network's dtype
};

/// Multi-head attention softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, Eq. 1) with an output projection.
class Attention : public torch::nn::Module {
 public:
  explicit Attention(std::int64_t width, AttentionOptions options = {});

  /// Each of x's L tokens looks at the S tokens of `context`.  x [B,L,width], context [B,S,context] -> [B,L,width]
  Tensor forward(const Tensor& x, const Tensor& context) const;
  /// Self-attention.
  Tensor forward(const Tensor& x) const { return forward(x, x); }

 private:
  /// -> [B,heads,L,d], in float32 inside if the options ask for it.
  Tensor mix(const Tensor& q, const Tensor& k, const Tensor& v) const;
  Tensor split(const Tensor& x) const { return x.unflatten(2, {options_.heads, -1}).transpose(1, 2); }

  AttentionOptions options_;
  std::shared_ptr<Linear> to_q_, to_k_, to_v_, to_out_;
};

/// Linear layer whose second half of outputs gates the first: a * gelu(b) (Shazeer 2020, GEGLU).  [...,in] -> [...,out]
class Geglu : public torch::nn::Module {
 public:
  Geglu(std::int64_t in, std::int64_t out) { proj_ = register_module("proj", std::make_shared<Linear>(in, 2 * out)); }
  Tensor forward(const Tensor& x) const;

 private:
  std::shared_ptr<Linear> proj_;
};

/// GEGLU to four times the width and back.  [...,width] -> [...,width]
class FeedForward : public torch::nn::Module {
 public:
  explicit FeedForward(std::int64_t width);
  Tensor forward(const Tensor& x) const { return contract_->forward(expand_->forward(x)); }

 private:
  std::shared_ptr<Geglu> expand_;
  std::shared_ptr<Linear> contract_;
};

/// Self-attention, cross-attention and feed-forward, each normalized before and added after.  [B,L,width], context
/// [B,S,context] -> [B,L,width]
class BasicTransformerBlock : public torch::nn::Module {
 public:
  /// `cross.context` is the width of the condition; `cross.heads` and `cross.upcast` hold for both attentions.
  BasicTransformerBlock(std::int64_t width, AttentionOptions cross);
  Tensor forward(const Tensor& x, const Tensor& context) const;

 private:
  std::shared_ptr<LayerNorm> norm1_, norm2_, norm3_;
  std::shared_ptr<Attention> attn1_, attn2_;
  std::shared_ptr<FeedForward> ff_;
};

/// Options of a transformer over pixels.
struct Transformer2DOptions {
  AttentionOptions attention = {};  ///< heads, width of the condition, upcast
  std::int64_t layers = 1;          ///< number of transformer blocks
  std::int64_t groups = 32;         ///< groups of the input normalization
  /// projections in and out are linear layers (SD 2, SDXL) instead of 1x1 convolutions (SD 1)
  bool linear_projection = false;
};

/// Transformer blocks over the pixels of a feature map, added to it.  x [B,C,H,W], context [B,S,D] -> [B,C,H,W]
class Transformer2DModel : public torch::nn::Module {
 public:
  Transformer2DModel(std::int64_t channels, const Transformer2DOptions& options);

  Tensor forward(const Tensor& x, const Tensor& context) const;

 private:
  static Tensor to_tokens(const Tensor& x) { return x.flatten(2).transpose(1, 2); }

  std::shared_ptr<GroupNorm> norm_;
  std::shared_ptr<Linear> linear_in_, linear_out_;  // either these two
  std::shared_ptr<Conv2d> conv_in_, conv_out_;      // or these two
  std::shared_ptr<ModuleListOf<BasicTransformerBlock>> blocks_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/attention.ipp>
#endif
