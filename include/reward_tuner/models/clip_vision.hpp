// CLIP's vision tower (a ViT), with or without the projection into the joint space: the image half of CLIP scores.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/models/config_limits.hpp>
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
  static ClipVisionConfig from_json(const nlohmann::json& json, std::string where = "image_encoder/config.json") {
    ClipVisionConfig c;
    ConfigReader reader(json, std::move(where));
    reader.expect("model_type", "clip_vision_model", "this class is CLIP's vision tower");
    detail::read_clip_encoder(reader, c);
    c.num_channels = reader.optional<std::int64_t>("num_channels", c.num_channels);
    c.image_size = reader.optional<std::int64_t>("image_size", c.image_size);
    c.patch_size = reader.optional<std::int64_t>("patch_size", c.patch_size);
    c.projection_dim = reader.optional<std::int64_t>("projection_dim", c.projection_dim);
    reader.ignore({"bos_token_id", "eos_token_id", "pad_token_id"});  // transformers 4 writes them for every model
    detail::ignore_transformers_keys(reader);
    reader.finish();
    c.check();
    return c;
  }

  nlohmann::json to_json() const {
    nlohmann::json json{{"model_type", "clip_vision_model"},
                        {"num_channels", num_channels},
                        {"image_size", image_size},
                        {"patch_size", patch_size},
                        {"projection_dim", projection_dim}};
    detail::write_clip_encoder(json, *this);
    return json;
  }

  /// Throws unless the sizes fit together.
  void check() const {
    detail::check_clip_encoder(*this, "ClipVision");
    REWARD_TUNER_CHECK(num_channels > 0 && patch_size > 0 && image_size >= patch_size && projection_dim > 0,
                       "[ClipVision] expected positive sizes with image_size >= patch_size, got num_channels ",
                       num_channels, ", image_size ", image_size, ", patch_size ", patch_size, ", projection_dim ",
                       projection_dim);
    detail::check_at_most("ClipVision", "image_size", {image_size}, ConfigLimits::kSide);
    detail::check_at_most("ClipVision", "num_channels and projection_dim", {num_channels, projection_dim},
                          4 * ConfigLimits::kWidth);
    const std::int64_t grid = image_size / patch_size;
    detail::check_at_most("ClipVision", "the patches of an image", {grid * grid}, ConfigLimits::kRows);
  }
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
  explicit ClipVisionEmbeddings(const ClipVisionConfig& c) {
    const std::int64_t grid = c.image_size / c.patch_size;
    class_embedding_ = register_parameter("class_embedding", at::empty({c.hidden_size}));
    patch_embedding_ =
        register_module("patch_embedding",
                        std::make_shared<Conv2d>(c.num_channels, c.hidden_size, c.patch_size, c.patch_size, 0, false));
    position_embedding_ =
        register_module("position_embedding", std::make_shared<Embedding>(grid * grid + 1, c.hidden_size));
  }
  Tensor forward(const Tensor& pixel_values) const {
    const Tensor patches = patch_embedding_->forward(pixel_values).flatten(2).transpose(1, 2);  // [B,N-1,D]
    const Tensor first = class_embedding_.expand({pixel_values.size(0), 1, -1});                // [B,1,D]
    return at::cat({first, patches}, 1) + position_embedding_->weight;                          // [B,N,D]
  }

 private:
  Tensor class_embedding_;
  std::shared_ptr<Conv2d> patch_embedding_;
  std::shared_ptr<Embedding> position_embedding_;
};

/// The tower itself, everything below the `vision_model.` prefix.
class ClipVisionTransformer : public torch::nn::Module {
 public:
  explicit ClipVisionTransformer(ClipVisionConfig config) : config_(std::move(config)) {
    config_.check();
    embeddings_ = register_module("embeddings", std::make_shared<ClipVisionEmbeddings>(config_));
    // checkpoints spell it so
    pre_layrnorm_ =
        register_module("pre_layrnorm", std::make_shared<LayerNorm>(config_.hidden_size, config_.layer_norm_eps));
    encoder_ = register_module("encoder", std::make_shared<ClipEncoder>(config_));
    post_layernorm_ =
        register_module("post_layernorm", std::make_shared<LayerNorm>(config_.hidden_size, config_.layer_norm_eps));
  }

  ClipVisionOutput forward(const Tensor& pixel_values) const {
    REWARD_TUNER_CHECK(
        pixel_values.defined() && pixel_values.dim() == 4 && pixel_values.size(1) == config_.num_channels &&
            pixel_values.size(2) == config_.image_size && pixel_values.size(3) == config_.image_size,
        "[ClipVision] pixel_values must be [B,", config_.num_channels, ",", config_.image_size, ",", config_.image_size,
        "], got ", pixel_values.defined() ? pixel_values.sizes() : at::IntArrayRef());
    ClipVisionOutput out;
    // (layers + 1) x [B,N,D]
    out.hidden_states = encoder_->forward(pre_layrnorm_->forward(embeddings_->forward(pixel_values)));
    out.last_hidden_state = out.hidden_states.back();                                  // [B,N,D]
    out.pooler_output = post_layernorm_->forward(out.last_hidden_state.select(1, 0));  // [B,D]
    return out;
  }
  const ClipVisionConfig& config() const { return config_; }

 private:
  ClipVisionConfig config_;
  std::shared_ptr<ClipVisionEmbeddings> embeddings_;
  std::shared_ptr<LayerNorm> pre_layrnorm_, post_layernorm_;
  std::shared_ptr<ClipEncoder> encoder_;
};

/// transformers' CLIPVisionModel, or CLIPVisionModelWithProjection with `with_projection`. Parameter names are those of
/// published checkpoints (`vision_model.` prefix). Differentiable in the pixels and the parameters.
/// `ClipImagePreprocessor` makes the input.
class ClipVisionModel : public torch::nn::Module {
 public:
  explicit ClipVisionModel(ClipVisionConfig config, bool with_projection = false) {
    vision_model_ = register_module("vision_model", std::make_shared<ClipVisionTransformer>(std::move(config)));
    if (with_projection)
      visual_projection_ =
          register_module("visual_projection",
                          std::make_shared<Linear>(this->config().hidden_size, this->config().projection_dim, false));
  }

  /// pixel_values [B,C,S,S] with S = image_size, normalized by the checkpoint's mean and deviation.
  ClipVisionOutput forward(const Tensor& pixel_values) const {
    ClipVisionOutput out = vision_model_->forward(pixel_values);
    if (visual_projection_) out.image_embeds = visual_projection_->forward(out.pooler_output);  // [B,P]
    return out;
  }
  const ClipVisionConfig& config() const { return vision_model_->config(); }
  bool with_projection() const { return visual_projection_ != nullptr; }

 private:
  std::shared_ptr<ClipVisionTransformer> vision_model_;
  std::shared_ptr<Linear> visual_projection_;
};

/// The name of a checkpoint key in ClipVisionModel, for LoadOptions::rename: adds the `vision_model.` prefix that
/// transformers 5 leaves out and skips `position_ids` (empty result).
inline std::string clip_vision_key(std::string key) {
  if (detail::ends_with_position_ids(key)) return {};
  if (key.starts_with("embeddings.") || key.starts_with("pre_layrnorm.") || key.starts_with("encoder.") ||
      key.starts_with("post_layernorm."))
    return "vision_model." + key;
  return key;
}

}  // namespace reward_tuner
