// Definitions of open_clip_layout.hpp.
#pragma once
#include <reward_tuner/models/open_clip_layout.hpp>

#include <cstdint>
#include <initializer_list>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/original_layout.hpp>

namespace reward_tuner {

namespace detail {

/// The model's part of either kind of file.
inline const nlohmann::json& open_clip_model_part(const nlohmann::json& json) {
  return json.contains("model_cfg") ? json.at("model_cfg") : json;
}

/// What is the same in both towers.
inline void read_open_clip_tower(ConfigReader& reader, ClipEncoderOptions& o, bool quick_gelu) {
  o.num_hidden_layers = reader.optional<std::int64_t>("layers", 12);
  const double ratio = reader.optional<double>("mlp_ratio", 4.0);
  REWARD_TUNER_CHECK(ratio > 0 && ratio <= 64, "[OpenClip] ", reader.where(),
                     ": expected mlp_ratio above 0 and at most 64, got ", ratio);
  o.intermediate_size = static_cast<std::int64_t>(static_cast<double>(o.hidden_size) * ratio);
  o.hidden_act = quick_gelu ? "quick_gelu" : "gelu";
  for (const char* key : {"ls_init_value", "act_kwargs", "norm_kwargs", "block_type"})
    reader.expect(key, nullptr, "only CLIP's plain blocks are supported");
  for (const char* key : {"qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc",
                          "final_ln_after_pool"})
    reader.expect(key, false, "only CLIP's plain blocks are supported");
  reader.ignore({"output_tokens"});
}

}  // namespace detail

REWARD_TUNER_INLINE bool is_open_clip_config(const nlohmann::json& json) {
  return json.is_object() && (json.contains("embed_dim") || json.contains("model_cfg"));
}

REWARD_TUNER_INLINE ClipConfig open_clip_config(const nlohmann::json& json, const std::string& where) {
  ClipConfig c;
  c.layout = ClipLayout::kOpenClip;
  const nlohmann::json& model = detail::open_clip_model_part(json);
  ConfigReader reader(model, where);
  c.projection_dim = reader.required<std::int64_t>("embed_dim");
  REWARD_TUNER_CHECK(c.projection_dim > 0, "[OpenClip] ", where, ": expected embed_dim above 0, got ",
                     c.projection_dim);
  const bool quick_gelu = reader.optional<bool>("quick_gelu", false);
  reader.expect("custom_text", false, "only CLIP's own text tower is supported");
  reader.expect("multimodal_cfg", nullptr, "only CLIP is supported, not CoCa");
  reader.expect("init_logit_bias", nullptr, "only CLIP is supported, not SigLIP");
  reader.expect("nonscalar_logit_scale", false, "CLIP's scale is one number");
  reader.ignore({"init_logit_scale"});  // the scale is in the weights

  ConfigReader vision(reader.required<nlohmann::json>("vision_cfg"), where + ": vision_cfg");
  c.vision.hidden_size = vision.optional<std::int64_t>("width", 768);
  const auto head_width = vision.optional<std::int64_t>("head_width", 64);
  REWARD_TUNER_CHECK(head_width > 0 && c.vision.hidden_size % head_width == 0, "[OpenClip] ", vision.where(),
                     ": expected a width that is a multiple of head_width, got ", c.vision.hidden_size, " and ",
                     head_width);
  c.vision.num_attention_heads = c.vision.hidden_size / head_width;
  vision.expect("timm_model_name", nullptr, "only CLIP's own vision transformer is supported");
  vision.ignore({"timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias", "timm_drop", "timm_drop_path",
                 "attn_pooler_queries", "attn_pooler_heads",  // of what is refused
                 "patch_dropout"});                           // of training
  for (const char* key : {"attentional_pool", "no_ln_pre", "input_patchnorm", "global_average_pool"})
    vision.expect(key, false, "only CLIP's own vision transformer is supported");
  vision.expect("pos_embed_type", "learnable", "CLIP learns its positions");
  vision.expect("pool_type", "tok", "CLIP pools at the class token");
  detail::read_open_clip_tower(vision, c.vision, quick_gelu);
  c.vision.patch_size = vision.optional<std::int64_t>("patch_size", 16);
  c.vision.image_size = vision.optional<std::int64_t>("image_size", 224);
  vision.finish();

  ConfigReader text(reader.required<nlohmann::json>("text_cfg"), where + ": text_cfg");
  c.text.hidden_size = text.optional<std::int64_t>("width", 512);
  c.text.num_attention_heads = text.optional<std::int64_t>("heads", 8);
  for (const char* key : {"hf_model_name", "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs"})
    text.expect(key, nullptr, "only CLIP's own text tower and tokenizer are supported");
  text.ignore({"hf_model_pretrained", "hf_proj_type", "hf_pooler_type",  // of what is refused
               "eos_id"});                                               // of other poolings
  for (const char* key : {"embed_cls", "no_causal_mask", "proj_bias"})
    text.expect(key, false, "only CLIP's own text tower is supported");
  text.expect("pool_type", "argmax", "CLIP pools at the end of the text");
  text.expect("proj_type", "linear", "CLIP projects the text");
  text.expect("pad_id", 0, "open_clip's tokenizer pads with 0");
  detail::read_open_clip_tower(text, c.text, quick_gelu);
  c.text.max_position_embeddings = text.optional<std::int64_t>("context_length", 77);
  c.text.vocab_size = text.optional<std::int64_t>("vocab_size", 49408);
  c.text.eos_token_id = 2;  // pooled at the largest id
  text.finish();
  reader.finish();
  c.text.projection_dim = c.vision.projection_dim = c.projection_dim;
  c.text.check();
  c.vision.check();
  return c;
}

REWARD_TUNER_INLINE ImagePreprocessorOptions open_clip_preprocessing(const nlohmann::json& json,
                                                                     const ClipConfig& config,
                                                                     const std::string& where) {
  const std::int64_t side = config.vision.image_size;
  ImagePreprocessorOptions o{.edge = side, .side = side, .crop_start = CropStart::kHalfToEven};
  if (!json.contains("preprocess_cfg")) return o;
  ConfigReader reader(json.at("preprocess_cfg"), where + ": preprocess_cfg");
  o.mean = detail::channel_numbers(reader, "mean", o.mean);
  o.deviation = detail::channel_numbers(reader, "std", o.deviation);
  if (reader.has_value("size")) {
    const nlohmann::json size = json.at("preprocess_cfg").at("size");
    REWARD_TUNER_CHECK(size == side || size == nlohmann::json({side, side}), "[OpenClip] ", reader.where(),
                       ": expected the model's image_size as size, ", side, ", got ", size.dump());
  }
  reader.expect("mode", "RGB", "images have three channels");
  reader.expect("interpolation", "bicubic", "only bicubic resizing is supported");
  reader.expect("fill_color", 0, "a letterbox is black");
  const auto mode = reader.optional<std::string>("resize_mode", "shortest");
  REWARD_TUNER_CHECK(mode == "shortest" || mode == "longest" || mode == "squash", "[OpenClip] ", reader.where(),
                     ": expected resize_mode shortest, longest or squash, got ", mode);
  o.rule = mode == "longest"  ? ResizeRule::kLongestEdge
           : mode == "squash" ? ResizeRule::kSquare
                              : ResizeRule::kShortestEdge;
  reader.finish();
  return o;
}

REWARD_TUNER_INLINE WeightsSource open_clip_weights(const SafetensorsFile& file, const ClipModel& model) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_dict(model)) names.push_back(name);
  WeightsSource source("'" + file.path() + "' (in open_clip's layout)");
  std::set<std::string> used;
  for (const auto& [name, place] : original_weights(OriginalTable::kOpenClip, names)) {
    if (!file.contains(place.key)) continue;  // load_weights lists what is missing
    used.insert(place.key);
    source.add(name, file, place.key,
               [form = place.form](const Tensor& stored) { return from_original(stored, form); });
  }
  for (const std::string& key : file.names())
    if (!used.contains(key) && key != "attn_mask") source.add(key, file, key);
  return source;
}

}  // namespace reward_tuner
