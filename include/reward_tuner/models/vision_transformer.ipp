// Definitions of vision_transformer.hpp.
#pragma once
#include <reward_tuner/models/vision_transformer.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/layers/dot_product_attention.hpp>
#include <reward_tuner/models/config_limits.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE VisionTransformerConfig VisionTransformerConfig::from_json(const nlohmann::json& json,
                                                                               const std::string& where) {
  ConfigReader reader(json, where);
  VisionTransformerConfig c;
  c.image_size = reader.required<std::int64_t>("image_size");
  c.patch_size = reader.required<std::int64_t>("patch_size");
  c.width = reader.required<std::int64_t>("width");
  c.depth = reader.required<std::int64_t>("depth");
  c.heads = reader.required<std::int64_t>("heads");
  reader.finish();
  c.check();
  return c;
}

REWARD_TUNER_INLINE void VisionTransformerConfig::check() const {
  REWARD_TUNER_CHECK(patch_size > 0 && image_size >= patch_size && width > 0 && depth > 0 && heads > 0,
                     "[VisionTransformer] expected positive sizes with image_size >= patch_size, got image_size ",
                     image_size, ", patch_size ", patch_size, ", width ", width, ", depth ", depth, ", heads ", heads);
  REWARD_TUNER_CHECK(width % heads == 0, "[VisionTransformer] the width must be a multiple of the heads, got width ",
                     width, " and ", heads, " heads");
  detail::check_at_most("VisionTransformer", "image_size", {image_size}, ConfigLimits::kSide);
  detail::check_at_most("VisionTransformer", "width", {width}, ConfigLimits::kWidth);
  detail::check_at_most("VisionTransformer", "depth", {depth}, ConfigLimits::kLayers);
  const std::int64_t grid = image_size / patch_size;
  detail::check_at_most("VisionTransformer", "the patches of an image", {grid * grid}, ConfigLimits::kRows);
}

REWARD_TUNER_INLINE VisionTransformerBlock::VisionTransformerBlock(std::int64_t width, std::int64_t heads)
    : heads_(heads) {
  constexpr double kEps = 1e-6;
  norm1_ = register_module("norm1", std::make_shared<LayerNorm>(width, kEps));
  const auto attention = register_module("attn", std::make_shared<torch::nn::Module>());
  qkv_ = attention->register_module("qkv", std::make_shared<Linear>(width, 3 * width));
  proj_ = attention->register_module("proj", std::make_shared<Linear>(width, width));
  norm2_ = register_module("norm2", std::make_shared<LayerNorm>(width, kEps));
  const auto mlp = register_module("mlp", std::make_shared<torch::nn::Module>());
  fc1_ = mlp->register_module("fc1", std::make_shared<Linear>(width, 4 * width));
  fc2_ = mlp->register_module("fc2", std::make_shared<Linear>(4 * width, width));
}

REWARD_TUNER_INLINE Tensor VisionTransformerBlock::forward(const Tensor& x) const {
  // 3 x [B,heads,N,W/heads]
  const auto qkv = qkv_->forward(norm1_->forward(x)).unflatten(-1, {3, heads_, -1}).permute({2, 0, 3, 1, 4}).unbind();
  const Tensor mixed = dot_product_attention(qkv[0], qkv[1], qkv[2]);            // [B,heads,N,W/heads]
  const Tensor attended = x + proj_->forward(mixed.transpose(1, 2).flatten(2));  // [B,N,W]
  const Tensor hidden = at::gelu(fc1_->forward(norm2_->forward(attended)));      // [B,N,4W]
  return attended + fc2_->forward(hidden);                                       // [B,N,W]
}

REWARD_TUNER_INLINE VisionTransformer::VisionTransformer(const VisionTransformerConfig& config) : config_(config) {
  config_.check();
  const std::int64_t grid = config_.image_size / config_.patch_size, width = config_.width;
  cls_token_ = register_parameter("cls_token", new_weight({1, 1, width}));
  pos_embed_ = register_parameter("pos_embed", new_weight({1, grid * grid + 1, width}));
  const auto embed = register_module("patch_embed", std::make_shared<torch::nn::Module>());
  patches_ = embed->register_module("proj", std::make_shared<Conv2d>(3, width, config_.patch_size, config_.patch_size));
  blocks_ = register_module("blocks", std::make_shared<ModuleListOf<VisionTransformerBlock>>());
  for (std::int64_t i = 0; i < config_.depth; ++i) blocks_->emplace_back(width, config_.heads);
  norm_ = register_module("norm", std::make_shared<LayerNorm>(width, 1e-6));
}

REWARD_TUNER_INLINE Tensor VisionTransformer::forward(const Tensor& pixels) const {
  const std::int64_t side = config_.image_size;
  REWARD_TUNER_CHECK(
      pixels.defined() && pixels.dim() == 4 && pixels.size(1) == 3 && pixels.size(2) == side && pixels.size(3) == side,
      "[VisionTransformer] pixels must be [B,3,", side, ",", side, "], got ",
      pixels.defined() ? pixels.sizes() : at::IntArrayRef());
  const Tensor patches = patches_->forward(pixels).flatten(2).transpose(1, 2);                // [B,N-1,W]
  Tensor x = at::cat({cls_token_.expand({pixels.size(0), 1, -1}), patches}, 1) + pos_embed_;  // [B,N,W]
  for (const auto& block : *blocks_) x = block->forward(x);                                   // [B,N,W]
  return norm_->forward(x);                                                                   // [B,N,W]
}

}  // namespace reward_tuner
