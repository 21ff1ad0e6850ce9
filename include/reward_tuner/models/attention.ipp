// Definitions of attention.hpp.
#pragma once
#include <reward_tuner/models/attention.hpp>

#include <c10/core/impl/LocalDispatchKeySet.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/layers/fused_ops.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Attention::Attention(std::int64_t width, AttentionOptions options) : options_(options) {
  REWARD_TUNER_CHECK(options.heads > 0 && width % options.heads == 0,
                     "[Attention] the width must be a multiple of the heads, got width ", width, " and ", options.heads,
                     " heads");
  const std::int64_t context = options.context > 0 ? options.context : width;
  to_q_ = register_module("to_q", std::make_shared<Linear>(width, width, options.projection_bias));
  to_k_ = register_module("to_k", std::make_shared<Linear>(context, width, options.projection_bias));
  to_v_ = register_module("to_v", std::make_shared<Linear>(context, width, options.projection_bias));
  // diffusers' list of linear layer and dropout
  const auto list = register_module("to_out", std::make_shared<torch::nn::Module>());
  to_out_ = list->register_module("0", std::make_shared<Linear>(width, width));
}

REWARD_TUNER_INLINE Tensor Attention::forward(const Tensor& x, const Tensor& context) const {
  const Tensor q = split(to_q_->forward(x));                         // [B,heads,L,d]
  const Tensor k = split(to_k_->forward(context));                   // [B,heads,S,d]
  const Tensor v = split(to_v_->forward(context));                   // [B,heads,S,d]
  return to_out_->forward(mix(q, k, v).transpose(1, 2).flatten(2));  // [B,L,width]
}

REWARD_TUNER_INLINE Tensor Attention::mix(const Tensor& q, const Tensor& k, const Tensor& v) const {
  const auto dtype = q.scalar_type();
  if (!options_.upcast || (dtype != at::kHalf && dtype != at::kBFloat16)) return dot_product_attention(q, k, v);
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);  // which would cast back
  return dot_product_attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat)).to(dtype);
}

REWARD_TUNER_INLINE Tensor Geglu::forward(const Tensor& x) const { return geglu(proj_->forward(x)); }

REWARD_TUNER_INLINE FeedForward::FeedForward(std::int64_t width) {
  // diffusers' list; item 1 is a dropout without weights
  const auto net = register_module("net", std::make_shared<torch::nn::Module>());
  expand_ = net->register_module("0", std::make_shared<Geglu>(width, 4 * width));
  contract_ = net->register_module("2", std::make_shared<Linear>(4 * width, width));
}

REWARD_TUNER_INLINE BasicTransformerBlock::BasicTransformerBlock(std::int64_t width, AttentionOptions cross) {
  AttentionOptions self = cross;
  self.context = 0;
  norm1_ = register_module("norm1", std::make_shared<LayerNorm>(width));
  attn1_ = register_module("attn1", std::make_shared<Attention>(width, self));
  norm2_ = register_module("norm2", std::make_shared<LayerNorm>(width));
  attn2_ = register_module("attn2", std::make_shared<Attention>(width, cross));
  norm3_ = register_module("norm3", std::make_shared<LayerNorm>(width));
  ff_ = register_module("ff", std::make_shared<FeedForward>(width));
}

REWARD_TUNER_INLINE Tensor BasicTransformerBlock::forward(const Tensor& x, const Tensor& context) const {
  Tensor y = x + attn1_->forward(norm1_->forward(x));    // [B,L,width]
  y = y + attn2_->forward(norm2_->forward(y), context);  // [B,L,width]
  return y + ff_->forward(norm3_->forward(y));           // [B,L,width]
}

REWARD_TUNER_INLINE Transformer2DModel::Transformer2DModel(std::int64_t channels, const Transformer2DOptions& options) {
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

REWARD_TUNER_INLINE Tensor Transformer2DModel::forward(const Tensor& x, const Tensor& context) const {
  const std::int64_t height = x.size(2), width = x.size(3);
  const auto layout = x.suggest_memory_format();
  Tensor h = norm_->forward(x);                                                        // [B,C,H,W]
  h = conv_in_ ? to_tokens(conv_in_->forward(h)) : linear_in_->forward(to_tokens(h));  // [B,H*W,C]
  for (const auto& block : *blocks_) h = block->forward(h, context);                   // [B,H*W,C]
  if (linear_out_) h = linear_out_->forward(h);                                        // [B,H*W,C]
  h = h.transpose(1, 2).unflatten(2, {height, width}).contiguous(layout);              // [B,C,H,W]
  return x + (conv_out_ ? conv_out_->forward(h) : h);                                  // [B,C,H,W]
}

}  // namespace reward_tuner
