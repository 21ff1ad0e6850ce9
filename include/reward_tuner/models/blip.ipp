// Definitions of blip.hpp.
#pragma once
#include <reward_tuner/models/blip.hpp>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/files/weights_source.hpp>
#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/models/config_limits.hpp>
#include <reward_tuner/text/tokenizer_folder.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

namespace detail {

inline constexpr std::string_view kBlipPrefix = "blip.";

/// The vocabulary with the two tokens that BLIP adds to BERT's.
inline WordPieceFiles with_blip_tokens(WordPieceFiles files) {
  for (const char* text : {"[DEC]", "[ENC]"}) files.options.added.push_back({.text = text});
  return files;
}

}  // namespace detail

REWARD_TUNER_INLINE BlipConfig BlipConfig::from_json(const nlohmann::json& json, const std::string& where) {
  ConfigReader reader(json, where);
  BlipConfig c;
  c.vision = VisionTransformerConfig::from_json(reader.required<nlohmann::json>("vit"), where + ": vit");
  c.text = BertConfig::from_json(reader.required<nlohmann::json>("med_config"), c.vision.width, where + ": med_config");
  c.head = reader.optional<std::vector<std::int64_t>>("head", {});
  reader.finish();
  REWARD_TUNER_CHECK(std::ranges::all_of(c.head, [](auto outputs) { return outputs > 0; }), "[Blip] ", where,
                     ": expected positive numbers in head, got ", at::IntArrayRef(c.head));
  detail::check_at_most("Blip", "head", c.head, 4 * ConfigLimits::kWidth);
  detail::check_at_most("Blip", "the layers of head", {static_cast<std::int64_t>(c.head.size())},
                        ConfigLimits::kLayers);
  return c;
}

REWARD_TUNER_INLINE BlipModel::BlipModel(const BlipConfig& config, WordPieceFiles files)
    : config_(config),
      tokenizer_(detail::with_blip_tokens(std::move(files))),
      preprocessor_(
          {.edge = config.vision.image_size, .side = config.vision.image_size, .crop_start = CropStart::kHalfToEven}) {
  REWARD_TUNER_CHECK(tokenizer_.vocab_size() == config_.text.vocab_size, "[Blip] expected a tokenizer of ",
                     config_.text.vocab_size, " tokens, [DEC] and [ENC] included, as the text encoder has, got ",
                     tokenizer_.vocab_size());
  if (const auto longest = tokenizer_.options().model_max_length; longest && *longest < kTextLength)
    note("[Blip] the tokenizer's folder says model_max_length ", *longest, ": prompts have ", kTextLength,
         " tokens all the same, as in ImageReward");
  REWARD_TUNER_CHECK(config_.text.max_position_embeddings >= kTextLength, "[Blip] expected at least ", kTextLength,
                     " positions (max_position_embeddings), got ", config_.text.max_position_embeddings);
  REWARD_TUNER_CHECK(config_.text.image_width == config_.vision.width,
                     "[Blip] expected a text encoder for image tokens of width ", config_.vision.width, ", got ",
                     config_.text.image_width);
  visual_encoder_ = register_module("visual_encoder", std::make_shared<VisionTransformer>(config_.vision));
  text_encoder_ = register_module("text_encoder", std::make_shared<BertEncoder>(config_.text));
}

REWARD_TUNER_INLINE std::shared_ptr<BlipModel> BlipModel::load(const std::filesystem::path& folder) {
  const auto file = folder / "config.json";
  const BlipConfig config = BlipConfig::from_json(read_json(file), file.string());
  const auto tokenizer = detail::tokenizer_place(folder, "vocab.txt").value_or(folder);
  auto model = std::make_shared<BlipModel>(config, WordPieceFiles::read(tokenizer));
  const WeightsSource source = find_weights(folder, kTransformersWeights).open();
  const auto names = source.names();
  REWARD_TUNER_CHECK(std::ranges::any_of(names, [](const auto& name) { return name.starts_with(detail::kBlipPrefix); }),
                     "[Blip] expected tensors called blip.* in ", source.where(), ", as ImageReward has, got ",
                     names.empty() ? "none at all" : names.front());
  LoadOptions options;
  options.rename = [](const std::string& key) -> std::string {
    if (!key.starts_with(detail::kBlipPrefix) || detail::ends_with_position_ids(key)) return {};
    std::string name = key.substr(detail::kBlipPrefix.size());
    return name.starts_with("vision_proj.") || name.starts_with("text_proj.") ? std::string() : name;
  };
  load_weights(*model, source, options);
  for (auto& parameter : model->parameters()) parameter.requires_grad_(false);
  model->eval();
  return model;
}

REWARD_TUNER_INLINE Tensor BlipModel::joint_state(const Tensor& images, const std::vector<std::string>& prompts) const {
  const Tensor pixels = preprocessor_(images);  // [B,3,S,S]
  REWARD_TUNER_CHECK(static_cast<std::int64_t>(prompts.size()) == images.size(0),
                     "[Blip] expected one prompt an image (", images.size(0), "), got ", prompts.size());
  const WordPieceRows rows = tokenizer_(prompts, kTextLength);  // [B,L]
  const auto type = visual_encoder_->scalar_type();
  const Tensor image = visual_encoder_->forward(pixels.to(type));                                          // [B,N,W]
  const Tensor states = text_encoder_->forward(beside(image, rows.ids), beside(image, rows.mask), image);  // [B,L,D]
  return states.select(1, 0);                                                                              // [B,D]
}

}  // namespace reward_tuner
