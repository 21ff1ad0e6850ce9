// The vision transformer of Dosovitskiy et al. 2021 with timm's parameter names: BLIP's image encoder.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Settings of a VisionTransformer; the defaults are those of ViT-L/16 at 224 pixels.
struct VisionTransformerConfig {
  std::int64_t image_size = 224;  ///< side S of the input in pixels
  std::int64_t patch_size = 16;   ///< side of a patch in pixels
  std::int64_t width = 1024;      ///< width W of the residual stream
  std::int64_t depth = 24;        ///< number of blocks
  std::int64_t heads = 16;        ///< attention heads; must divide the width

  /// Reads an object with these keys, all of them; unknown keys and sizes that do not fit throw.
  static VisionTransformerConfig from_json(const nlohmann::json& json, const std::string& where);

  /// Throws unless the sizes fit together.
  void check() const;
};

/// Attention and MLP, each behind a layer norm and added to the residual stream.  x [B,N,W] -> [B,N,W]
class VisionTransformerBlock : public torch::nn::Module {
 public:
  VisionTransformerBlock(std::int64_t width, std::int64_t heads);
  Tensor forward(const Tensor& x) const;

 private:
  std::int64_t heads_;
  std::shared_ptr<LayerNorm> norm1_, norm2_;
  std::shared_ptr<Linear> qkv_, proj_, fc1_, fc2_;
};

/// Patches, class token and positions, the blocks, and a norm that every token keeps.
/// Gradient: reaches the pixels and the parameters.
class VisionTransformer : public torch::nn::Module {
 public:
  explicit VisionTransformer(const VisionTransformerConfig& config);

  /// pixels [B,3,S,S] -> [B,N,W], N = (S / patch_size)^2 + 1 tokens, the class token first.
  Tensor forward(const Tensor& pixels) const;
  /// The type of its parameters, in which it takes pixels.
  at::ScalarType scalar_type() const { return cls_token_.scalar_type(); }

 private:
  VisionTransformerConfig config_;
  Tensor cls_token_, pos_embed_;
  std::shared_ptr<Conv2d> patches_;
  std::shared_ptr<ModuleListOf<VisionTransformerBlock>> blocks_;
  std::shared_ptr<LayerNorm> norm_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/vision_transformer.ipp>
#endif
