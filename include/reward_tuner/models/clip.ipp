// Definitions of clip.hpp.
#pragma once
#include <reward_tuner/models/clip.hpp>

#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/models/config_limits.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/models/open_clip_layout.hpp>
#include <reward_tuner/text/clip_tokenizer_files.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>
#include <reward_tuner/text/tokenizer_folder.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ClipConfig ClipConfig::load(const std::filesystem::path& file) {
  return from_json(read_json(file), file.string());
}

REWARD_TUNER_INLINE ClipConfig ClipConfig::from_json(const nlohmann::json& json, const std::string& where) {
  if (is_open_clip_config(json)) return open_clip_config(json, where);
  ClipConfig c;
  ConfigReader reader(json, where);
  reader.expect("model_type", "clip", "this class is a whole CLIP model");
  c.text = ClipTextConfig::from_json(part(reader, json, "text_config"), where + ": text_config");
  c.vision = ClipVisionConfig::from_json(part(reader, json, "vision_config"), where + ": vision_config");
  c.projection_dim = reader.optional<std::int64_t>("projection_dim", c.projection_dim);
  REWARD_TUNER_CHECK(c.projection_dim > 0, "[Clip] ", where, ": projection_dim must be positive, got ",
                     c.projection_dim);
  detail::check_at_most("Clip", "projection_dim", {c.projection_dim}, 4 * ConfigLimits::kWidth);
  // the scale is in the weights, the ids in the tokenizer
  reader.ignore({"logit_scale_init_value", "bos_token_id", "eos_token_id", "pad_token_id"});
  detail::ignore_transformers_keys(reader);
  reader.finish();
  return c;
}

REWARD_TUNER_INLINE nlohmann::json ClipConfig::part(ConfigReader& reader, const nlohmann::json& json,
                                                    const std::string& key) {
  const bool nested = reader.has_value(key), replaced = reader.has_value(key + "_dict");
  return replaced ? json.at(key + "_dict") : nested ? json.at(key) : nlohmann::json::object();
}

REWARD_TUNER_INLINE ClipModel::ClipModel(ClipConfig config, ClipTokenizer tokenizer, ImagePreprocessor preprocessor)
    : config_(std::move(config)), tokenizer_(std::move(tokenizer)), preprocessor_(std::move(preprocessor)) {
  const auto side = preprocessor_.options().side;
  REWARD_TUNER_CHECK(side == config_.vision.image_size,
                     "[Clip] the preprocessing's side must be the vision tower's image_size, got ", side, " and ",
                     config_.vision.image_size);
  REWARD_TUNER_CHECK(config_.vision.num_channels == 3, "[Clip] the vision tower must take 3 channels, got ",
                     config_.vision.num_channels);
  REWARD_TUNER_CHECK(tokenizer_.vocab_size() <= config_.text.vocab_size,
                     "[Clip] the tokenizer's vocabulary must fit the text tower's, got ", tokenizer_.vocab_size(),
                     " and ", config_.text.vocab_size);
  text_model_ = register_module("text_model", std::make_shared<ClipTextTransformer>(config_.text));
  vision_model_ = register_module("vision_model", std::make_shared<ClipVisionTransformer>(config_.vision));
  text_projection_ = register_module("text_projection",
                                     std::make_shared<Linear>(config_.text.hidden_size, config_.projection_dim, false));
  visual_projection_ = register_module(
      "visual_projection", std::make_shared<Linear>(config_.vision.hidden_size, config_.projection_dim, false));
  logit_scale_ = register_parameter("logit_scale", new_weight({}));
}

namespace detail {

/// The tokenizer of a CLIP's folder. open_clip's folders have none, for that library carries OpenAI's vocabulary.
inline ClipTokenizerFiles folder_tokenizer(const std::filesystem::path& folder, const ClipConfig& config) {
  const bool open_clip = config.layout == ClipLayout::kOpenClip;
  const auto place = tokenizer_place(folder, "vocab.json");
  ClipTokenizerFiles files;
  if (!place && config.text.vocab_size == kClipVocabularySize) {
    files = clip_vocabulary();
    if (!open_clip) note("[Clip] ", folder.string(), " has no tokenizer files: OpenAI's vocabulary is used");
  } else {
    files = ClipTokenizerFiles::read(place.value_or(folder));
  }
  if (open_clip) files.options.style = ClipTokenizerStyle::kOpenClip;
  return files;
}

}  // namespace detail

REWARD_TUNER_INLINE std::shared_ptr<ClipModel> ClipModel::load(const std::filesystem::path& folder,
                                                               const std::string& variant) {
  namespace fs = std::filesystem;
  // a folder of LAION's holds both layouts; the other libraries read config.json
  const bool own_names = !fs::exists(folder / "config.json") && fs::exists(folder / kOpenClipConfig);
  const fs::path file = folder / (own_names ? kOpenClipConfig : "config.json");
  const nlohmann::json json = read_json(file);
  ClipConfig config = ClipConfig::from_json(json, file.string());
  const bool open_clip = config.layout == ClipLayout::kOpenClip;
  const std::int64_t side = config.vision.image_size;
  const auto image = open_clip ? open_clip_preprocessing(json, config, file.string())
                               : ImagePreprocessorOptions::load(folder, {.edge = side, .side = side});
  ClipTokenizerFiles tokenizer = detail::folder_tokenizer(folder, config);
  auto model =
      std::make_shared<ClipModel>(std::move(config), ClipTokenizer(std::move(tokenizer)), ImagePreprocessor(image));
  const WeightsFiles weights = find_weights(folder, own_names ? kOpenClipWeights : kTransformersWeights, variant);
  if (open_clip) {
    REWARD_TUNER_CHECK(!weights.sharded, "[Clip] expected one file of weights in open_clip's layout, got shards in ",
                       weights.file.string());
    load_weights(*model, open_clip_weights(SafetensorsFile::open(weights.file), *model));
  } else {
    LoadOptions options;
    options.rename = [](const std::string& key) { return detail::ends_with_position_ids(key) ? std::string() : key; };
    load_weights(*model, weights.open(), options);
  }
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  model->eval();
  return model;
}

REWARD_TUNER_INLINE Tensor ClipModel::text_features(const std::vector<std::string>& prompts) const {
  REWARD_TUNER_CHECK(!prompts.empty(), "[Clip] expected at least one prompt, got none");
  const Tensor ids = beside(logit_scale_, tokenizer_(prompts, config_.text.max_position_embeddings));  // [B,L]
  return unit(text_projection_->forward(text_model_->forward(ids).pooler_output));                     // [B,P]
}

REWARD_TUNER_INLINE Tensor ClipModel::pixel_embeddings(const Tensor& pixels) const {
  const Tensor x = pixels.to(logit_scale_.scalar_type());                       // [B,3,S,S]
  return visual_projection_->forward(vision_model_->forward(x).pooler_output);  // [B,P]
}

}  // namespace reward_tuner
