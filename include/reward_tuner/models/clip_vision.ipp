// Definitions of clip_vision.hpp.
#pragma once
#include <reward_tuner/models/clip_vision.hpp>

#include <ATen/ops/cat.h>

#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/config_limits.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ClipVisionConfig ClipVisionConfig::from_json(const nlohmann::json& json, const std::string& where) {
  ClipVisionConfig c;
  ConfigReader reader(json, where);
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

REWARD_TUNER_INLINE nlohmann::json ClipVisionConfig::to_json() const {
  nlohmann::json json{{"model_type", "clip_vision_model"},
                      {"num_channels", num_channels},
                      {"image_size", image_size},
                      {"patch_size", patch_size},
                      {"projection_dim", projection_dim}};
  detail::write_clip_encoder(json, *this);
  return json;
}

REWARD_TUNER_INLINE void ClipVisionConfig::check() const {
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

REWARD_TUNER_INLINE ClipVisionEmbeddings::ClipVisionEmbeddings(const ClipVisionConfig& c) {
  const std::int64_t grid = c.image_size / c.patch_size;
  class_embedding_ = register_parameter("class_embedding", new_weight({c.hidden_size}));
  patch_embedding_ = register_module(
      "patch_embedding", std::make_shared<Conv2d>(c.num_channels, c.hidden_size, c.patch_size, c.patch_size, 0, false));
  position_embedding_ =
      register_module("position_embedding", std::make_shared<Embedding>(grid * grid + 1, c.hidden_size));
}

REWARD_TUNER_INLINE Tensor ClipVisionEmbeddings::forward(const Tensor& pixel_values) const {
  const Tensor patches = patch_embedding_->forward(pixel_values).flatten(2).transpose(1, 2);  // [B,N-1,D]
  const Tensor first = class_embedding_.expand({pixel_values.size(0), 1, -1});                // [B,1,D]
  return at::cat({first, patches}, 1) + position_embedding_->weight;                          // [B,N,D]
}

REWARD_TUNER_INLINE ClipVisionTransformer::ClipVisionTransformer(ClipVisionConfig config) : config_(std::move(config)) {
  config_.check();
  embeddings_ = register_module("embeddings", std::make_shared<ClipVisionEmbeddings>(config_));
  // checkpoints spell it so
  pre_layrnorm_ =
      register_module("pre_layrnorm", std::make_shared<LayerNorm>(config_.hidden_size, config_.layer_norm_eps));
  encoder_ = register_module("encoder", std::make_shared<ClipEncoder>(config_));
  post_layernorm_ =
      register_module("post_layernorm", std::make_shared<LayerNorm>(config_.hidden_size, config_.layer_norm_eps));
}

REWARD_TUNER_INLINE ClipVisionOutput ClipVisionTransformer::forward(const Tensor& pixel_values) const {
  REWARD_TUNER_CHECK(pixel_values.defined() && pixel_values.dim() == 4 &&
                         pixel_values.size(1) == config_.num_channels && pixel_values.size(2) == config_.image_size &&
                         pixel_values.size(3) == config_.image_size,
                     "[ClipVision] pixel_values must be [B,", config_.num_channels, ",", config_.image_size, ",",
                     config_.image_size, "], got ", pixel_values.defined() ? pixel_values.sizes() : at::IntArrayRef());
  ClipVisionOutput out;
  // (layers + 1) x [B,N,D]
  out.hidden_states = encoder_->forward(pre_layrnorm_->forward(embeddings_->forward(pixel_values)));
  out.last_hidden_state = out.hidden_states.back();                                  // [B,N,D]
  out.pooler_output = post_layernorm_->forward(out.last_hidden_state.select(1, 0));  // [B,D]
  return out;
}

REWARD_TUNER_INLINE ClipVisionModel::ClipVisionModel(ClipVisionConfig config, bool with_projection) {
  vision_model_ = register_module("vision_model", std::make_shared<ClipVisionTransformer>(std::move(config)));
  if (with_projection)
    visual_projection_ =
        register_module("visual_projection",
                        std::make_shared<Linear>(this->config().hidden_size, this->config().projection_dim, false));
}

REWARD_TUNER_INLINE ClipVisionOutput ClipVisionModel::forward(const Tensor& pixel_values) const {
  ClipVisionOutput out = vision_model_->forward(pixel_values);
  if (visual_projection_) out.image_embeds = visual_projection_->forward(out.pooler_output);  // [B,P]
  return out;
}

REWARD_TUNER_INLINE std::string clip_vision_key(std::string key) {
  if (detail::ends_with_position_ids(key)) return {};
  if (key.starts_with("embeddings.") || key.starts_with("pre_layrnorm.") || key.starts_with("encoder.") ||
      key.starts_with("post_layernorm."))
    return "vision_model." + key;
  return key;
}

}  // namespace reward_tuner
