// CLIP's vision tower (a ViT), with or without the projection into the joint space: the image half of CLIP scores.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Settings of a vision tower; the defaults are those of transformers' CLIPVisionConfig.
struct ClipVisionConfig : ClipEncoderOptions {
  std::int64_t num_channels = 3;      ///< channels of the input
  std::int64_t image_size = 224;      ///< side S of the input in pixels
  std::int64_t patch_size = 32;       ///< side of a patch in pixels
  std::int64_t projection_dim = 512;  ///< width P of the joint space, used with a projection

  ClipVisionConfig()
      : ClipEncoderOptions{
            .hidden_size = 768, .intermediate_size = 3072, .num_hidden_layers = 12, .num_attention_heads = 12} {}

  /// Reads transformers' config.json; unknown keys and unsupported values throw.
  static ClipVisionConfig from_json(const nlohmann::json& json, const std::string& where = "image_encoder/config.json");

  nlohmann::json to_json() const;

  /// Throws unless the sizes fit together.
  void check() const;
};

/// What the vision tower returns. N = (S / patch_size)^2 + 1 tokens, the class token first.
struct ClipVisionOutput {
  Tensor last_hidden_state;  ///< [B,N,D] output of the last layer; the final norm is applied to the pooled token alone
  Tensor pooler_output;      ///< [B,D] the class token after the final norm
  Tensor image_embeds;       ///< [B,P] its projection; undefined in a model without projection. Not normalized
  std::vector<Tensor> hidden_states;  ///< input of the first layer, then every layer's output: layers + 1 of [B,N,D]
};

/// Patches, class token and positions.  pixel_values [B,C,S,S] -> [B,N,D]
class ClipVisionEmbeddings : public torch::nn::Module {
 public:
  explicit ClipVisionEmbeddings(const ClipVisionConfig& c);
  Tensor forward(const Tensor& pixel_values) const;

 private:
  Tensor class_embedding_;
  std::shared_ptr<Conv2d> patch_embedding_;
  std::shared_ptr<Embedding> position_embedding_;
};

/// The tower itself, everything below the `vision_model.` prefix.
class ClipVisionTransformer : public torch::nn::Module {
 public:
  explicit ClipVisionTransformer(ClipVisionConfig config);

  ClipVisionOutput forward(const Tensor& pixel_values) const;
  /// The final norm on any tokens [...,D]; `forward` applies it to the pooled one alone.
  Tensor normalized(const Tensor& tokens) const { return post_layernorm_->forward(tokens); }
  const ClipVisionConfig& config() const { return config_; }

 private:
  ClipVisionConfig config_;
  std::shared_ptr<ClipVisionEmbeddings> embeddings_;
  std::shared_ptr<LayerNorm> pre_layrnorm_, post_layernorm_;
  std::shared_ptr<ClipEncoder> encoder_;
};

/// transformers' CLIPVisionModel, or CLIPVisionModelWithProjection with `with_projection`. Parameter names are those of
/// published checkpoints (`vision_model.` prefix). Differentiable in the pixels and the parameters.
/// `ImagePreprocessor` makes the input.
class ClipVisionModel : public torch::nn::Module {
 public:
  explicit ClipVisionModel(ClipVisionConfig config, bool with_projection = false);

  /// pixel_values [B,C,S,S] with S = image_size, normalized by the checkpoint's mean and deviation.
  ClipVisionOutput forward(const Tensor& pixel_values) const;
  const ClipVisionConfig& config() const { return vision_model_->config(); }
  bool with_projection() const { return visual_projection_ != nullptr; }

 private:
  std::shared_ptr<ClipVisionTransformer> vision_model_;
  std::shared_ptr<Linear> visual_projection_;
};

/// The name of a checkpoint key in ClipVisionModel, for LoadOptions::rename: adds the `vision_model.` prefix that
/// transformers 5 leaves out and skips `position_ids` (empty result).
std::string clip_vision_key(std::string key);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/clip_vision.ipp>
#endif
