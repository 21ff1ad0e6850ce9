// Attention and the transformer that runs over the pixels of a feature map, with diffusers' parameter names.
#pragma once
#include <ATen/ops/gelu.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
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
  explicit Attention(std::int64_t width, AttentionOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options.heads > 0 && width % options.heads == 0,
                       "[Attention] the width must be a multiple of the heads, got width ", width, " and ",
                       options.heads, " heads");
    const std::int64_t context = options.context > 0 ? options.context : width;
    to_q_ = register_module("to_q", std::make_shared<Linear>(width, width, options.projection_bias));
    to_k_ = register_module("to_k", std::make_shared<Linear>(context, width, options.projection_bias));
    to_v_ = register_module("to_v", std::make_shared<Linear>(context, width, options.projection_bias));
    // diffusers' list of linear layer and dropout
    const auto list = register_module("to_out", std::make_shared<torch::nn::Module>());
    to_out_ = list->register_module("0", std::make_shared<Linear>(width, width));
  }

  /// Each of x's L tokens looks at the S tokens of `context`.  x [B,L,width], context [B,S,context] -> [B,L,width]
  Tensor forward(const Tensor& x, const Tensor& context) const {
    const Tensor q = split(to_q_->forward(x));                         // [B,heads,L,d]
    const Tensor k = split(to_k_->forward(context));                   // [B,heads,S,d]
    const Tensor v = split(to_v_->forward(context));                   // [B,heads,S,d]
    return to_out_->forward(mix(q, k, v).transpose(1, 2).flatten(2));  // [B,L,width]
  }
  /// Self-attention.
  Tensor forward(const Tensor& x) const { return forward(x, x); }

 private:
  /// -> [B,heads,L,d], in float32 inside if the options ask for it.
  Tensor mix(const Tensor& q, const Tensor& k, const Tensor& v) const {
    const auto dtype = q.scalar_type();
    if (!options_.upcast || (dtype != at::kHalf && dtype != at::kBFloat16)) return dot_product_attention(q, k, v);
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);  // which would cast back
    return dot_product_attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat)).to(dtype);
  }
  Tensor split(const Tensor& x) const { return x.unflatten(2, {options_.heads, -1}).transpose(1, 2); }

  AttentionOptions options_;
  std::shared_ptr<Linear> to_q_, to_k_, to_v_, to_out_;
};

/// Linear layer whose second half of outputs gates the first: a * gelu(b) (Shazeer 2020, GEGLU).  [...,in] -> [...,out]
class Geglu : public torch::nn::Module {
 public:
  Geglu(std::int64_t in, std::int64_t out) { proj_ = register_module("proj", std::make_shared<Linear>(in, 2 * out)); }
  Tensor forward(const Tensor& x) const {
    const auto halves = proj_->forward(x).chunk(2, -1);
    return halves[0] * at::gelu(halves[1]);
  }

 private:
  std::shared_ptr<Linear> proj_;
};

/// GEGLU to four times the width and back.  [...,width] -> [...,width]
class FeedForward : public torch::nn::Module {
 public:
  explicit FeedForward(std::int64_t width) {
    // diffusers' list; item 1 is a dropout without weights
    const auto net = register_module("net", std::make_shared<torch::nn::Module>());
    expand_ = net->register_module("0", std::make_shared<Geglu>(width, 4 * width));
    contract_ = net->register_module("2", std::make_shared<Linear>(4 * width, width));
  }
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
  BasicTransformerBlock(std::int64_t width, AttentionOptions cross) {
    AttentionOptions self = cross;
    self.context = 0;
    norm1_ = register_module("norm1", std::make_shared<LayerNorm>(width));
    attn1_ = register_module("attn1", std::make_shared<Attention>(width, self));
    norm2_ = register_module("norm2", std::make_shared<LayerNorm>(width));
    attn2_ = register_module("attn2", std::make_shared<Attention>(width, cross));
    norm3_ = register_module("norm3", std::make_shared<LayerNorm>(width));
    ff_ = register_module("ff", std::make_shared<FeedForward>(width));
  }
  Tensor forward(const Tensor& x, const Tensor& context) const {
    Tensor y = x + attn1_->forward(norm1_->forward(x));    // [B,L,width]
    y = y + attn2_->forward(norm2_->forward(y), context);  // [B,L,width]
    return y + ff_->forward(norm3_->forward(y));           // [B,L,width]
  }

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
  Transformer2DModel(std::int64_t channels, const Transformer2DOptions& options) {
    norm_ = register_module("norm", std::make_shared<GroupNorm>(options.groups, channels, 1e-6));
    if (options.linear_projection) {
      linear_in_ = register_module("proj_in", std::make_shared<Linear>(channels, channels));
      linear_out_ = register_module("proj_out", std::make_shared<Linear>(channels, channels));
    } else {
      conv_in_ = register_module("proj_in", std::make_shared<Conv2d>(channels, channels, 1));
      conv_out_ = register_module("proj_out", std::make_shared<Conv2d>(channels, channels, 1));
    }
    blocks_ = register_module("transformer_blocks", std::make_shared<ModuleListOf<BasicTransformerBlock>>());
    for (std::int64_t i = 0; i < options.layers; ++i) blocks_->emplace_back(channels, options.attention);
  }

  Tensor forward(const Tensor& x, const Tensor& context) const {
    const std::int64_t height = x.size(2), width = x.size(3);
    Tensor h = norm_->forward(x);                                                        // [B,C,H,W]
    h = conv_in_ ? to_tokens(conv_in_->forward(h)) : linear_in_->forward(to_tokens(h));  // [B,H*W,C]
    for (const auto& block : *blocks_) h = block->forward(h, context);                   // [B,H*W,C]
    if (linear_out_) h = linear_out_->forward(h);                                        // [B,H*W,C]
    h = h.transpose(1, 2).unflatten(2, {height, width}).contiguous();                    // [B,C,H,W]
    return x + (conv_out_ ? conv_out_->forward(h) : h);                                  // [B,C,H,W]
  }

 private:
  static Tensor to_tokens(const Tensor& x) { return x.flatten(2).transpose(1, 2); }

  std::shared_ptr<GroupNorm> norm_;
  std::shared_ptr<Linear> linear_in_, linear_out_;  // either these two
  std::shared_ptr<Conv2d> conv_in_, conv_out_;      // or these two
  std::shared_ptr<ModuleListOf<BasicTransformerBlock>> blocks_;
};

}  // namespace reward_tuner
