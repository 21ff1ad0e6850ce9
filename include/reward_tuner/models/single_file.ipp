// Definitions of single_file.hpp.
#pragma once
#include <reward_tuner/models/single_file.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/lora/lora_names.hpp>

namespace reward_tuner {

namespace detail {

/// A part of a tensor's name and what a file is that has one.
struct FileMark {
  std::string_view text, kind;
};

/// What models of other families have, the most telling first.
inline constexpr std::array<FileMark, 30> kOtherFamilies{{{"joint_blocks.", "a Stable Diffusion 3"},
                                                          {"double_blocks.", "a Flux or Hunyuan"},
                                                          {"single_transformer_blocks.", "a Flux"},
                                                          {"double_layers.", "an AuraFlow"},
                                                          {"cap_embedder.", "a Lumina"},
                                                          {"patchify_proj.", "an LTX-Video"},
                                                          {"txt_in.individual_token_refiner.", "a HunyuanVideo"},
                                                          {"attn.qkv_x.", "a Mochi"},
                                                          {"head.modulation", "a Wan"},
                                                          {"caption_projection.", "a PixArt or Sana"},
                                                          {"clip_txt_mapper.", "a Stable Cascade"},
                                                          {".channelwise.", "a Stable Cascade"},
                                                          {"motion_modules.", "an AnimateDiff"},
                                                          {".time_stack.", "a Stable Video Diffusion"},
                                                          {".time_mixer.", "a Stable Video Diffusion"},
                                                          {"controlnet_cond_embedding.", "a ControlNet"},
                                                          {"control_model.", "a ControlNet"},
                                                          {"input_hint_block.", "a ControlNet"},
                                                          {"adapter.body.", "a T2I-Adapter"},
                                                          {"position_net.", "a GLIGEN"},
                                                          {"noise_augmentor.", "an unCLIP"},
                                                          {"low_scale_model.", "an upscaler"},
                                                          {"edm_mean", "a Playground 2.5 (EDM noise levels)"},
                                                          {"edm_vpred.", "a CosXL (EDM noise levels)"},
                                                          {"text_encoders.", "another family's"},
                                                          {"emb_params", "a textual inversion"},
                                                          {"string_to_param", "a textual inversion"},
                                                          {"optimizer_state", "a training state's"},
                                                          {"exp_avg", "an optimizer's state"},
                                                          {"image_proj.", "an IP-Adapter"}}};

/// What a file without a UNet in the original layout is, by how a tensor's name begins.
inline constexpr std::array<FileMark, 11> kPartsAlone{{{"down_blocks.", "the UNet of a diffusers folder"},
                                                       {"first_stage_model.", "an autoencoder"},
                                                       {"encoder.down", "an autoencoder"},
                                                       {"decoder.up", "an autoencoder"},
                                                       {"text_model.", "a text encoder"},
                                                       {"encoder.layers.", "a text encoder"},
                                                       {"cond_stage_model.", "a text encoder"},
                                                       {"conditioner.", "a text encoder"},
                                                       {"transformer.resblocks.", "a CLIP of open_clip"},
                                                       {"visual.", "a CLIP"},
                                                       {"vision_model.", "a CLIP"}}};

inline constexpr std::string_view kFirstKernel = "model.diffusion_model.input_blocks.0.0.weight";

/// The tensors' names as far as recognition asks for them.
class FileNames {
 public:
  explicit FileNames(const SafetensorsFile& file) : names_(file.names()) {}
  bool empty() const { return names_.empty(); }
  const std::vector<std::string>& all() const { return names_; }
  bool any_begins(std::string_view text) const {
    const auto found = std::lower_bound(names_.begin(), names_.end(), text);
    return found != names_.end() && found->starts_with(text);
  }
  bool any_has(std::string_view text) const {
    return std::any_of(names_.begin(), names_.end(), [&](const std::string& n) { return n.find(text) != n.npos; });
  }

 private:
  std::vector<std::string> names_;
};

/// What a file is that is no model of our families.
inline std::string other_file(const FileNames& names) {
  if (names.empty()) return "a file without tensors";
  for (const auto& name : names.all())
    if (split_lora_key(name) && !name.ends_with(".alpha")) return "a LoRA, which --lora takes";
  for (const auto& [text, kind] : kOtherFamilies)
    if (names.any_has(text)) return std::string(kind) + " file";
  for (const auto& [text, kind] : kPartsAlone)
    if (names.any_begins(text)) return std::string(kind) + " alone";
  return "one of another kind, with tensors such as " + shortened(names.all().front());
}

/// What a Stable Diffusion is whose UNet takes more than the noisy latents, by the channels that it takes.
inline std::string_view other_input(std::int64_t channels) {
  switch (channels) {
    case 9:
      return "an inpainting model (9 input channels)";
    case 8:
      return "an InstructPix2Pix (8 input channels)";
    case 7:
      return "an upscaler (7 input channels)";
    case 5:
      return "a depth-to-image model (5 input channels)";
    default:
      return {};
  }
}

/// Constants of the noise schedule and counters that trainers store beside the weights.
inline bool is_training_constant(std::string_view name) {
  static constexpr std::array<std::string_view, 16> kNames{"betas",
                                                           "alphas_cumprod",
                                                           "alphas_cumprod_prev",
                                                           "sqrt_alphas_cumprod",
                                                           "sqrt_one_minus_alphas_cumprod",
                                                           "log_one_minus_alphas_cumprod",
                                                           "sqrt_recip_alphas_cumprod",
                                                           "sqrt_recipm1_alphas_cumprod",
                                                           "posterior_variance",
                                                           "posterior_log_variance_clipped",
                                                           "posterior_mean_coef1",
                                                           "posterior_mean_coef2",
                                                           "logvar",
                                                           "lvlb_weights",
                                                           "denoiser.sigmas",
                                                           "scale_factor"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() || name == "global_step" || name == "v_pred" ||
         name == "ztsnr";
}

/// What a part's keys may be that its network has no use for.
inline bool is_unused(const OriginalPart& part, std::string_view key, std::int64_t blocks) {
  switch (part.table) {
    case OriginalTable::kUnet:
      return false;
    case OriginalTable::kVae:
      return key.starts_with("loss.") || key.starts_with("model_ema.");
    case OriginalTable::kClip:
      return key.ends_with("position_ids");
    case OriginalTable::kOpenClip:
      break;
  }
  if (key == "logit_scale" || key == "attn_mask") return true;
  // Stable Diffusion 2 conditions on the last block but one: it has no use for the last one and the projection
  return part.part == "text_encoder" &&
         (key == "text_projection" || key.starts_with("transformer.resblocks." + std::to_string(blocks) + "."));
}

}  // namespace detail

REWARD_TUNER_INLINE ModelFamily recognize_family(const SafetensorsFile& file) {
  const detail::FileNames names(file);
  const std::string where = "[SingleFile] '" + file.path() + "' ";
  const std::string wanted = ", expected Stable Diffusion 1, 2 or XL in one file";
  const std::string first(detail::kFirstKernel);
  if (!file.contains(first)) detail::fail(where, "is ", detail::other_file(names), wanted);
  for (const auto& [text, kind] : detail::kOtherFamilies)
    REWARD_TUNER_CHECK(!names.any_has(text), where, "is ", kind, " file (it has tensors '", text, "')", wanted);
  const auto& kernel = file.shape(first);  // [O,I,3,3]
  REWARD_TUNER_CHECK(kernel.size() == 4, where, "has a first convolution of the shape ", detail::shape_text(kernel),
                     ", expected [O,4,3,3]");
  const std::string_view input = detail::other_input(kernel[1]);
  REWARD_TUNER_CHECK(input.empty(), where, "is ", input, wanted);
  const bool sizes = names.any_begins("model.diffusion_model.label_emb."),
             clip = names.any_begins("cond_stage_model.transformer."),
             open_clip = names.any_begins("cond_stage_model.model."),
             xl_clip = names.any_begins("conditioner.embedders.0.transformer."),
             xl_open_clip = names.any_begins("conditioner.embedders.1.model.");
  REWARD_TUNER_CHECK(xl_open_clip || !names.any_begins("conditioner.embedders.0.model."), where,
                     "is the refiner of Stable Diffusion XL", wanted);
  REWARD_TUNER_CHECK(clip + open_clip + (xl_clip || xl_open_clip) <= 1, where,
                     "has the text encoders of several families", wanted);
  REWARD_TUNER_CHECK(names.any_begins("first_stage_model."), where,
                     "has no autoencoder (first_stage_model.*), expected a whole model");
  REWARD_TUNER_CHECK(clip || open_clip || xl_clip || xl_open_clip, where,
                     "has no text encoder (cond_stage_model.* or conditioner.*), expected a whole model");
  REWARD_TUNER_CHECK(xl_clip == xl_open_clip, where, "has one text encoder of Stable Diffusion XL, expected both");
  REWARD_TUNER_CHECK(!sizes || xl_clip, where, "is an unCLIP or another model with classes (it has label_emb)", wanted);
  REWARD_TUNER_CHECK(sizes || !xl_clip, where,
                     "has the text encoders of Stable Diffusion XL, but a UNet without its embedding of sizes "
                     "(label_emb)",
                     wanted);
  return clip ? ModelFamily::kSd1 : open_clip ? ModelFamily::kSd2 : ModelFamily::kSdxl;
}

REWARD_TUNER_INLINE std::optional<PredictionType> told_prediction(const SafetensorsFile& file, ModelFamily family) {
  if (const auto told = file.metadata().find("modelspec.prediction_type"); told != file.metadata().end()) {
    if (told->second == "epsilon") return PredictionType::kEpsilon;
    if (told->second == "v") return PredictionType::kVPrediction;
  }
  if (file.contains("v_pred")) return PredictionType::kVPrediction;
  constexpr double kBaseSteps = 875000;
  if (family == ModelFamily::kSd2 && file.contains("global_step")) {
    const Tensor step = file.tensor("global_step");
    if (step.numel() == 1 && step.to(at::kDouble).item<double>() == kBaseSteps) return PredictionType::kEpsilon;
  }
  return std::nullopt;
}

namespace detail {

REWARD_TUNER_INLINE const char* prediction_word(PredictionType prediction) {
  switch (prediction) {
    case PredictionType::kEpsilon:
      return "epsilon";
    case PredictionType::kVPrediction:
      return "v_prediction";
    case PredictionType::kFlow:
      return "flow_prediction";
    case PredictionType::kSample:
      break;
  }
  return "sample";
}

}  // namespace detail

REWARD_TUNER_INLINE SingleFile SingleFile::open(const std::filesystem::path& path,
                                                std::optional<PredictionType> prediction) {
  namespace fs = std::filesystem;
  REWARD_TUNER_CHECK(path.extension() == ".safetensors", "[SingleFile] expected a .safetensors file, got '",
                     path.string(),
                     "': files that run code (.ckpt, .pt, .bin) are not read; convert it in Python with ",
                     "torch.load(..., weights_only=True)['state_dict'] and safetensors.torch.save_file");
  SafetensorsFile file = SafetensorsFile::open(path);
  const ModelFamily family = recognize_family(file);
  SingleFile single(std::move(file), family);
  const fs::path beside = path.parent_path() / "config";
  const auto contradiction = [&](const std::string& who, const std::string& says) {
    detail::fail("[SingleFile] '", path.string(), "': ", who, " says the network predicts ", says, ", expected ",
                 detail::prediction_word(*prediction), " as prediction");
  };
  if (fs::exists(beside / "model_index.json")) {
    single.config_folder_ = beside;
    const auto says = single.config("scheduler").value("prediction_type", nlohmann::json("epsilon"));
    if (prediction && says != detail::prediction_word(*prediction)) contradiction(beside.string(), says.dump());
  } else {
    if (fs::is_directory(beside))
      note("[SingleFile] ", beside.string(), " is not read, for it has no model_index.json");
    const auto told = told_prediction(single.file_, family);
    if (told && prediction && *told != *prediction) contradiction("the file", detail::prediction_word(*told));
    single.prediction_ = told ? told : prediction;
    if (!single.prediction_ && family != ModelFamily::kSd2) single.prediction_ = PredictionType::kEpsilon;
    REWARD_TUNER_CHECK(single.prediction_, "[SingleFile] '", path.string(),
                       "' is a Stable Diffusion 2, whose tensors do not tell what it predicts: expected --prediction ",
                       "epsilon (the base models of 512 pixels) or v_prediction (those of 768), or a folder config/ "
                       "beside the file, got neither");
  }
  single.note_rest();
  return single;
}

REWARD_TUNER_INLINE void SingleFile::note_rest() const {
  const std::vector<OriginalPart> parts = original_parts(family_);
  std::set<std::string> others;  // beginnings of names
  for (const std::string& name : file_.names()) {
    const bool known =
        std::any_of(parts.begin(), parts.end(), [&](const auto& p) { return name.starts_with(p.prefix); });
    if (!known && !detail::is_training_constant(name)) others.insert(name.substr(0, name.find('.')));
  }
  std::string list;
  for (const auto& other : others) list += (list.empty() ? "" : ", ") + detail::shortened(other);
  if (!others.empty())
    note("[SingleFile] '", file_.path(), "' also has tensors beginning with ", list,
         ", which are no part of the model and are not read");
}

namespace detail {

REWARD_TUNER_INLINE std::filesystem::path config_file(const std::filesystem::path& folder, const std::string& part) {
  if (part == "model_index") return folder / "model_index.json";
  return folder / part / (part == "scheduler" ? "scheduler_config.json" : "config.json");
}

REWARD_TUNER_INLINE KnownModel known_model(ModelFamily family, PredictionType prediction) {
  if (family == ModelFamily::kSd1) return KnownModel::kSd15;
  if (family == ModelFamily::kSdxl) return KnownModel::kSdxlBase;
  return prediction == PredictionType::kEpsilon ? KnownModel::kSd21Base : KnownModel::kSd21;
}

}  // namespace detail

REWARD_TUNER_INLINE nlohmann::json SingleFile::config(const std::string& part) const {
  if (!config_folder_.empty()) return read_json(where(part));
  nlohmann::json known = known_configuration(detail::known_model(family_, *prediction_), part);
  if (part == "scheduler") {
    if (*prediction_ != PredictionType::kEpsilon) known["prediction_type"] = detail::prediction_word(*prediction_);
    if (file_.contains("ztsnr")) known["rescale_betas_zero_snr"] = true;
  }
  return known;
}

REWARD_TUNER_INLINE std::string SingleFile::where(const std::string& part) const {
  if (config_folder_.empty())
    return "the known configuration of " + known_model_name(detail::known_model(family_, *prediction_)) + " (" + part +
           ")";
  return detail::config_file(config_folder_, part).string();
}

REWARD_TUNER_INLINE WeightsSource SingleFile::weights(const std::string& part, const torch::nn::Module& network) const {
  const auto parts = original_parts(family_);
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const auto& p) { return p.part == part; });
  REWARD_TUNER_CHECK(found != parts.end(), "[SingleFile] '", file_.path(), "' is a ", family_name(family_),
                     ", which has no part ", part);
  std::vector<std::string> names;
  std::int64_t blocks = 0;  // of a text encoder
  for (const auto& [name, tensor] : state_dict(network)) {
    names.push_back(name);
    if (name.starts_with("text_model.encoder.layers.") && name.ends_with(".layer_norm1.weight")) ++blocks;
  }
  WeightsSource source("'" + file_.path() + "' (" + part + " by " + where(part) + ")");
  std::set<std::string> used;
  for (const auto& [name, place] : original_weights(found->table, names)) {
    std::string key = found->prefix + place.key;
    // the oldest files lack this word
    if (found->table == OriginalTable::kClip && !file_.contains(key) && name.starts_with("text_model."))
      key = found->prefix + name.substr(std::string_view("text_model.").size());
    if (!file_.contains(key)) continue;
    used.insert(key);
    if (place.form == OriginalForm::kSame) source.add(name, file_, key);
    else
      source.add(name, file_, key, [form = place.form](const Tensor& stored) { return from_original(stored, form); });
  }
  for (const std::string& key : file_.names())
    if (key.starts_with(found->prefix) && !used.contains(key) &&
        !detail::is_unused(*found, std::string_view(key).substr(found->prefix.size()), blocks))
      source.add(key, file_, key);
  return source;
}

}  // namespace reward_tuner
