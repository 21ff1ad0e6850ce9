// Definitions of owl_vit.hpp.
#pragma once
#include <reward_tuner/models/owl_vit.hpp>

#include <ATen/ops/elu.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/matmul.h>

#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/text/tokenizer_folder.hpp>

namespace reward_tuner {

namespace detail {

/// The settings of a tower as CLIP's reader takes them: other defaults, another model_type.
inline nlohmann::json owl_vit_tower(const nlohmann::json& json, const std::string& where, const char* kind,
                                    nlohmann::json defaults) {
  REWARD_TUNER_CHECK(json.is_object(), "[OwlVit] ", where, " must be an object, got ", json.type_name());
  const std::string own = std::string("owlvit_") + kind;
  REWARD_TUNER_CHECK(json.value("model_type", nlohmann::json(own)) == own, "[OwlVit] ", where,
                     ": expected the model_type ", own, ", got ", json["model_type"].dump());
  defaults.update(json);
  defaults["model_type"] = std::string("clip_") + kind;
  return defaults;
}

/// The name of a tensor of transformers in OwlVitModel; empty for those that are not used.
inline std::string owl_vit_key(std::string key) {
  for (const char* unused : {"box_head.", "box_bias", "owlvit.visual_projection.", "owlvit.logit_scale"})
    if (key.starts_with(unused)) return {};
  if (ends_with_position_ids(key)) return {};
  constexpr std::string_view kTowers = "owlvit.", kNorm = "vision_model.pre_layernorm.";
  if (key.starts_with(kTowers)) key.erase(0, kTowers.size());
  if (key.starts_with(kNorm)) return "vision_model.pre_layrnorm." + key.substr(kNorm.size());  // CLIP's spelling
  return key;
}

}  // namespace detail

REWARD_TUNER_INLINE OwlVitConfig OwlVitConfig::from_json(const nlohmann::json& json, const std::string& where) {
  ConfigReader reader(json, where);
  reader.expect("model_type", "owlvit", "this class is an OWL-ViT");
  OwlVitConfig c;
  const auto tower = [&](const char* key, const char* kind, const nlohmann::json& defaults) {
    return detail::owl_vit_tower(reader.optional<nlohmann::json>(key, nlohmann::json::object()), where + ": " + key,
                                 kind, defaults);
  };
  c.text = ClipTextConfig::from_json(tower("text_config", "text_model", {{"max_position_embeddings", 16}}),
                                     where + ": text_config");
  c.text.eos_token_id = 2;  // "at the largest id"
  c.vision = ClipVisionConfig::from_json(tower("vision_config", "vision_model", {{"image_size", 768}}),
                                         where + ": vision_config");
  c.projection_dim = reader.optional<std::int64_t>("projection_dim", 512);
  REWARD_TUNER_CHECK(c.projection_dim == c.text.hidden_size, "[OwlVit] ", where, ": expected projection_dim to be ",
                     c.text.hidden_size, ", the text tower's hidden_size, as the class head takes it, got ",
                     c.projection_dim);
  for (const char* key : {"text_config_dict", "vision_config_dict"})
    reader.expect(key, nullptr, "the towers' settings stand in text_config and vision_config");
  reader.ignore({"logit_scale_init_value", "bos_token_id", "eos_token_id", "pad_token_id"});
  detail::ignore_transformers_keys(reader);
  reader.finish();
  return c;
}

REWARD_TUNER_INLINE OwlVitModel::OwlVitModel(OwlVitConfig config, ClipTokenizer tokenizer,
                                             ImagePreprocessor preprocessor)
    : config_(std::move(config)), tokenizer_(std::move(tokenizer)), preprocessor_(std::move(preprocessor)) {
  REWARD_TUNER_CHECK(preprocessor_.options().side == config_.vision.image_size && config_.vision.num_channels == 3,
                     "[OwlVit] expected the vision tower's input, 3 channels and a side of ", config_.vision.image_size,
                     ", got images of side ", preprocessor_.options().side, " and ", config_.vision.num_channels,
                     " channels");
  REWARD_TUNER_CHECK(tokenizer_.vocab_size() <= config_.text.vocab_size, "[OwlVit] expected a tokenizer of at most ",
                     config_.text.vocab_size, " tokens, as the text tower has, got ", tokenizer_.vocab_size());
  const std::int64_t width = config_.vision.hidden_size, text_width = config_.text.hidden_size;
  text_model_ = register_module("text_model", std::make_shared<ClipTextTransformer>(config_.text));
  vision_model_ = register_module("vision_model", std::make_shared<ClipVisionTransformer>(config_.vision));
  text_projection_ =
      register_module("text_projection", std::make_shared<Linear>(text_width, config_.projection_dim, false));
  const auto head = register_module("class_head", std::make_shared<torch::nn::Module>());
  class_dense_ = head->register_module("dense0", std::make_shared<Linear>(width, text_width));
  shift_ = head->register_module("logit_shift", std::make_shared<Linear>(width, 1));
  scale_ = head->register_module("logit_scale", std::make_shared<Linear>(width, 1));
  layer_norm_ = register_module("layer_norm", std::make_shared<LayerNorm>(width, config_.vision.layer_norm_eps));
}

REWARD_TUNER_INLINE std::shared_ptr<OwlVitModel> OwlVitModel::load(const std::filesystem::path& folder) {
  const auto file = folder / "config.json";
  OwlVitConfig config = OwlVitConfig::from_json(read_json(file), file.string());
  const std::int64_t side = config.vision.image_size;
  const ImagePreprocessor preprocessor(
      ImagePreprocessorOptions::load(folder, {.rule = ResizeRule::kSquare, .edge = side, .side = side}));
  const auto tokenizer = detail::tokenizer_place(folder, "vocab.json").value_or(folder);
  auto model = std::make_shared<OwlVitModel>(std::move(config), ClipTokenizer::load(tokenizer), preprocessor);
  LoadOptions options;
  options.rename = detail::owl_vit_key;
  load_weights(*model, find_weights(folder, kTransformersWeights).open(), options);
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  model->eval();
  return model;
}

REWARD_TUNER_INLINE Tensor OwlVitModel::queries(const std::vector<std::string>& texts) const {
  REWARD_TUNER_CHECK(!texts.empty(), "[OwlVit] expected at least one query, got none");
  const Tensor ids = beside(text_projection_->weight, tokenizer_(texts, config_.text.max_position_embeddings));
  const Tensor x = text_projection_->forward(text_model_->forward(ids).pooler_output);  // [Q,D]
  return (x / at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true)).unsqueeze(0);       // [1,Q,D]
}

REWARD_TUNER_INLINE Tensor OwlVitModel::patches(const Tensor& images) const {
  const Tensor pixels = preprocessor_(images).to(text_projection_->weight.scalar_type());             // [B,3,S,S]
  const Tensor tokens = vision_model_->normalized(vision_model_->forward(pixels).last_hidden_state);  // [B,1+N,W]
  const Tensor first = tokens.narrow(1, 0, 1), others = tokens.narrow(1, 1, tokens.size(1) - 1);
  return layer_norm_->forward(others * first);  // [B,N,W]
}

REWARD_TUNER_INLINE Tensor OwlVitModel::logits(const Tensor& patches, const Tensor& queries) const {
  const Tensor seen = almost_unit(class_dense_->forward(patches)), asked = almost_unit(queries);  // [B,N,D], [B,Q,D]
  const Tensor cosine = at::matmul(seen, asked.transpose(1, 2));                                  // [B,N,Q]
  return (cosine + shift_->forward(patches)) * (at::elu(scale_->forward(patches)) + 1);           // [B,N,Q]
}

REWARD_TUNER_INLINE Tensor OwlVitModel::almost_unit(const Tensor& x) {
  return x / (at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true) + 1e-6);
}

}  // namespace reward_tuner
