// The whole CLIP model: texts and images to unit vectors in one space, whose dot product is the CLIP score.
#pragma once
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/clip_image.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_tokenizer.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Settings of both towers and of the joint space.
struct ClipConfig {
  ClipTextConfig text{};              ///< the text tower
  ClipVisionConfig vision{};          ///< the vision tower
  std::int64_t projection_dim = 512;  ///< width P of the joint space

  /// `from_json` of a file, which errors name.
  static ClipConfig load(const std::filesystem::path& file) { return from_json(read_json(file), file.string()); }

  /// Reads transformers' config.json of a CLIPModel, with nested text_config and vision_config.
  static ClipConfig from_json(const nlohmann::json& json, const std::string& where = "config.json") {
    ClipConfig c;
    ConfigReader reader(json, where);
    reader.expect("model_type", "clip", "this class is a whole CLIP model");
    c.text = ClipTextConfig::from_json(part(reader, json, "text_config"), where + ": text_config");
    c.vision = ClipVisionConfig::from_json(part(reader, json, "vision_config"), where + ": vision_config");
    c.projection_dim = reader.optional<std::int64_t>("projection_dim", c.projection_dim);
    REWARD_TUNER_CHECK(c.projection_dim > 0, "[Clip] ", where, ": projection_dim must be positive, got ",
                       c.projection_dim);
    // the scale is in the weights, the ids in the tokenizer
    reader.ignore({"logit_scale_init_value", "bos_token_id", "eos_token_id", "pad_token_id"});
    detail::ignore_transformers_keys(reader);
    reader.finish();
    return c;
  }

 private:
  /// The nested config. Where a file of transformers 4 also has a "..._dict", that one and the defaults replace it, as
  /// in transformers.
  static nlohmann::json part(ConfigReader& reader, const nlohmann::json& json, const std::string& key) {
    const bool nested = reader.has_value(key), replaced = reader.has_value(key + "_dict");
    return replaced ? json.at(key + "_dict") : nested ? json.at(key) : nlohmann::json::object();
  }
};

/// transformers' CLIPModel with its tokenizer and image preprocessing. Parameter names are those of published
/// checkpoints.
/// Example: `auto clip = ClipModel::load(folder); auto score = (clip->image_features(images) *
/// clip->text_features(prompts)).sum(-1);  // [B]`
class ClipModel : public torch::nn::Module {
 public:
  ClipModel(ClipConfig config, ClipTokenizer tokenizer, ClipImagePreprocessor preprocessor)
      : config_(std::move(config)), tokenizer_(std::move(tokenizer)), preprocessor_(std::move(preprocessor)) {
    const auto side = preprocessor_.options().crop_size;
    REWARD_TUNER_CHECK(side == config_.vision.image_size,
                       "[Clip] the preprocessing's crop_size must be the vision tower's image_size, got ", side,
                       " and ", config_.vision.image_size);
    REWARD_TUNER_CHECK(config_.vision.num_channels == 3, "[Clip] the vision tower must take 3 channels, got ",
                       config_.vision.num_channels);
    REWARD_TUNER_CHECK(tokenizer_.vocab_size() <= config_.text.vocab_size,
                       "[Clip] the tokenizer's vocabulary must fit the text tower's, got ", tokenizer_.vocab_size(),
                       " and ", config_.text.vocab_size);
    text_model_ = register_module("text_model", std::make_shared<ClipTextTransformer>(config_.text));
    vision_model_ = register_module("vision_model", std::make_shared<ClipVisionTransformer>(config_.vision));
    text_projection_ = register_module(
        "text_projection", std::make_shared<Linear>(config_.text.hidden_size, config_.projection_dim, false));
    visual_projection_ = register_module(
        "visual_projection", std::make_shared<Linear>(config_.vision.hidden_size, config_.projection_dim, false));
    logit_scale_ = register_parameter("logit_scale", at::empty({}));
  }

  /// Reads config.json, model.safetensors, preprocessor_config.json (OpenAI's values at the tower's image_size where
  /// absent), and the tokenizer's files in `folder` or `folder`/tokenizer. Anything missing or unsupported throws. The
  /// parameters do not require gradients.
  static std::shared_ptr<ClipModel> load(const std::filesystem::path& folder) {
    ClipConfig config = ClipConfig::load(folder / "config.json");
    ClipImageOptions image{.shortest_edge = config.vision.image_size, .crop_size = config.vision.image_size};
    if (const auto file = folder / "preprocessor_config.json"; std::filesystem::exists(file))
      image = ClipImageOptions::load(file);
    const bool nested =
        !std::filesystem::exists(folder / "vocab.json") && std::filesystem::exists(folder / "tokenizer");
    auto model = std::make_shared<ClipModel>(
        std::move(config), ClipTokenizer::load(nested ? folder / "tokenizer" : folder), ClipImagePreprocessor(image));
    LoadOptions options;
    options.rename = [](std::string key) { return detail::ends_with_position_ids(key) ? std::string() : key; };
    load_weights(*model, SafetensorsFile::open(folder / "model.safetensors"), options);
    for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
    model->eval();
    return model;
  }

  /// Unit vectors [B,P] of the prompts, on the model's device. Long prompts lose their end.
  Tensor text_features(const std::vector<std::string>& prompts) const {
    REWARD_TUNER_CHECK(!prompts.empty(), "[Clip] expected at least one prompt, got none");
    const Tensor ids = tokenizer_(prompts, config_.text.max_position_embeddings).to(logit_scale_.device());  // [B,L]
    return unit(text_projection_->forward(text_model_->forward(ids).pooler_output));                         // [B,P]
  }

  /// Unit vectors [B,P] of images [B,3,H,W] in [0,1]. Differentiable in the images.
  Tensor image_features(const Tensor& images) const { return unit(image_embeddings(images)); }

  /// The same before they are brought to length 1.
  Tensor image_embeddings(const Tensor& images) const {
    const Tensor pixels = preprocessor_(images).to(logit_scale_.scalar_type());        // [B,3,S,S]
    return visual_projection_->forward(vision_model_->forward(pixels).pooler_output);  // [B,P]
  }

  /// Factor that CLIP's training puts on the cosine similarity, exp(logit_scale); 0-d. PickScore-like rewards use it.
  Tensor scale() const { return logit_scale_.exp(); }

  const ClipConfig& config() const { return config_; }
  const ClipTokenizer& tokenizer() const { return tokenizer_; }
  const ClipImagePreprocessor& preprocessor() const { return preprocessor_; }

 private:
  static Tensor unit(const Tensor& x) { return x / at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true); }

  ClipConfig config_;
  ClipTokenizer tokenizer_;
  ClipImagePreprocessor preprocessor_;
  std::shared_ptr<ClipTextTransformer> text_model_;
  std::shared_ptr<ClipVisionTransformer> vision_model_;
  std::shared_ptr<Linear> text_projection_, visual_projection_;
  Tensor logit_scale_;
};

}  // namespace reward_tuner
