// Definitions of model_writer.hpp.
#pragma once
#include <reward_tuner/models/model_writer.hpp>

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/output_path.hpp>
#include <reward_tuner/files/part_copy.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/known_configurations.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>

namespace reward_tuner {

namespace detail {

/// Writes a network's weights into its folder, in place of all that are there.
inline void write_part_weights(const std::filesystem::path& folder, const std::string& part,
                               const std::map<std::string, Tensor>& weights) {
  const std::string name =
      (part.starts_with("text_encoder") ? kTransformersWeights : kDiffusersWeights).stem + std::string(".safetensors");
  make_folder(folder);
  if (std::filesystem::is_symlink(folder / name)) std::filesystem::remove(folder / name);  // the hub's cache shares it
  save_safetensors(folder / name, weights);
  remove_other_weights(folder, {name});
}

/// Copies a part's folder without its weights.
inline void copy_settings(const std::filesystem::path& from, const std::filesystem::path& to) {
  make_folder(to);
  for (const std::string& name : names_in(from)) {
    if (is_weights_name(name)) continue;
    if (std::filesystem::is_symlink(to / name)) std::filesystem::remove(to / name);
    constexpr auto kOverwrite =
        std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy(from / name, to / name, kOverwrite);
  }
}

/// The parts of a model and those that its model_index.json names, each a folder beside it, never one elsewhere.
inline std::set<std::string> index_parts(const ModelFiles& model) {
  const nlohmann::json index = model.config("model_index");
  std::set<std::string> parts = {"scheduler", "tokenizer"};
  for (const std::string& part : model.networks()) parts.insert(part);
  if (parts.contains("text_encoder_2")) parts.insert("tokenizer_2");
  for (const auto& [part, library_and_class] : index.items())
    if (library_and_class.is_array() && !library_and_class.empty() && !library_and_class[0].is_null() &&
        std::filesystem::path(part).filename() == part && part != "..")
      parts.insert(part);
  return parts;
}

inline bool is_tokenizer(const std::string& part) { return part == "tokenizer" || part == "tokenizer_2"; }

/// Writes the tokenizer that the model has, whoever gave it.
inline void write_own_tokenizer(const std::filesystem::path& to, const ModelFiles& model, const std::string& part) {
  if (const auto own = model.tokenizer_folder(part); !own.empty()) copy_settings(own, to);
  else write_tokenizer(to, model.tokenizer(part));
}

/// Writes a diffusers folder without weights: configurations, tokenizers, and the index of them.
inline void write_model_config(const std::filesystem::path& folder, const ModelFiles& model) {
  nlohmann::json index = model.config("model_index");
  const std::vector<std::string> networks = model.networks();
  for (const std::string& part : index_parts(model)) {
    const auto to = folder / part;
    const auto write = [&](const char* name) {
      make_folder(to);
      write_json(to / name, model.config(part));
    };
    if (std::find(networks.begin(), networks.end(), part) != networks.end()) {
      write("config.json");
    } else if (part == "scheduler") {
      write("scheduler_config.json");
    } else if (is_tokenizer(part)) {
      write_own_tokenizer(to, model, part);
    } else {
      note("[ModelFiles] the part ", part, " of ", model.where("model_index"), " is not written to ", folder.string(),
           ": single files do not have it");
      index[part] = nlohmann::json::array({nullptr, nullptr});
    }
  }
  make_folder(folder);
  write_json(folder / "model_index.json", index);
}

}  // namespace detail

REWARD_TUNER_INLINE void write_model_folder(const std::filesystem::path& folder, const ModelFiles& model,
                                            const PartWeights& changed) {
  namespace fs = std::filesystem;
  prepare_output_folder(folder);
  if (model.single()) {
    detail::write_model_config(folder, model);
    for (const std::string& part : model.networks()) {
      const auto found = changed.find(part);
      detail::write_part_weights(folder / part, part, found == changed.end() ? model.tensors(part) : found->second);
    }
    return;
  }
  if (!fs::equivalent(folder, model.path())) {
    std::set<std::string> parts = detail::index_parts(model);
    parts.insert("clip");
    for (const std::string& part : parts) {
      const auto from = model.path() / part;
      if (changed.contains(part)) detail::copy_settings(from, folder / part);
      else if (detail::is_tokenizer(part) && model.tokenizer_folder(part) != from)
        detail::write_own_tokenizer(folder / part, model, part);
      else if (fs::exists(from)) copy_part(from, folder / part, model.variant());
      else if (part != "clip")  // ours, for rewards
        note("[ModelFiles] ", model.where("model_index"), " names the part ", part,
             ", which the folder does not have: ", folder.string(), " lacks it too");
    }
    fs::copy_file(model.path() / "model_index.json", folder / "model_index.json", fs::copy_options::overwrite_existing);
  }
  for (const auto& [part, weights] : changed) detail::write_part_weights(folder / part, part, weights);
}

namespace detail {

/// Which family a folder's networks are, by what the original layout has for them: OpenAI's CLIP has quick GELU, those
/// of open_clip have GELU.
inline ModelFamily family_of(const ModelFiles& model) {
  if (model.single()) return model.single()->family();
  const auto networks = model.networks();
  if (std::find(networks.begin(), networks.end(), "text_encoder_2") != networks.end()) return ModelFamily::kSdxl;
  return model.config("text_encoder").value("hidden_act", "") == "gelu" ? ModelFamily::kSd2 : ModelFamily::kSd1;
}

/// Whether a file without config/ would mean the same: the networks and the noise schedule, not their bookkeeping.
inline bool is_known(const ModelFiles& model) {
  const ModelFamily family = family_of(model);
  const auto schedule = noise_schedule_config_from_json(model.config("scheduler"), model.where("scheduler"));
  const KnownModel known = known_model(family, schedule.prediction);
  auto wanted = noise_schedule_config_from_json(known_configuration(known, "scheduler"));
  wanted.prediction = schedule.prediction;  // and these the file says
  if (family == ModelFamily::kSdxl) wanted.zero_terminal_snr = schedule.zero_terminal_snr;
  if (!(schedule == wanted)) return false;
  for (const std::string& part : model.networks()) {
    const nlohmann::json theirs = known_configuration(known, part), ours = model.config(part);
    const auto same = [&]<class Config>(Config (*read)(const nlohmann::json&, const std::string&)) {
      return read(ours, model.where(part)).to_json() == read(theirs, part).to_json();
    };
    if (!(part == "unet"  ? same(&UNet2DConditionConfig::from_json)
          : part == "vae" ? same(&AutoencoderKLConfig::from_json)
                          : same(&ClipTextConfig::from_json)))
      return false;
  }
  return true;
}

/// Whether config/ beside the file has to be written.
inline bool needs_config(const ModelFiles& model) {
  return model.single() ? !model.single()->config_folder().empty() : !is_known(model);
}

/// The tensors of a single file with those of changed parts replaced.
inline std::map<std::string, Tensor> changed_file(const ModelFiles& model, const PartWeights& changed) {
  const SafetensorsFile& file = model.single()->file();
  std::map<std::string, Tensor> tensors;
  bool averages = false;
  for (const std::string& name : file.names()) {
    if (name.starts_with("model_ema.")) averages = true;
    else tensors[name] = file.tensor(name);
  }
  if (averages) note("[ModelFiles] '", file.path(), "': the averages model_ema.* are left out");
  for (const auto& part : original_parts(model.single()->family())) {
    const auto found = changed.find(part.part);
    if (found == changed.end()) continue;
    for (auto& [key, tensor] : to_original(part, found->second)) {
      std::string own = key;
      if (constexpr std::string_view word = "text_model."; !file.contains(key))
        if (const auto at = own.find(word); at != std::string::npos) own.erase(at, word.size());  // the oldest files
      tensors[own] = tensor.reshape(file.shape(own));  // a kernel may be a matrix there
    }
  }
  return tensors;
}

}  // namespace detail

REWARD_TUNER_INLINE void check_model_file(const std::filesystem::path& file, const ModelFiles& model) {
  prepare_output_file(file);
  std::error_code code;
  REWARD_TUNER_CHECK(!std::filesystem::equivalent(file, model.path(), code),
                     "[ModelFiles] expected another file than the model's own to write, got ", file.string());
  const auto config = file.parent_path() / "config";
  const bool own = model.single() && std::filesystem::equivalent(config, model.single()->config_folder(), code);
  REWARD_TUNER_CHECK(own || !std::filesystem::exists(config / "model_index.json"), "[ModelFiles] ", config.string(),
                     " is the configuration of another file: expected a folder without it for ",
                     file.filename().string(), ", which would be read by it");
}

REWARD_TUNER_INLINE void write_model_file(const std::filesystem::path& file, const ModelFiles& model,
                                          const PartWeights& changed) {
  check_model_file(file, model);
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata{{"format", "pt"}};
  if (model.single()) {
    metadata = model.single()->file().metadata();
    std::erase_if(metadata, [](const auto& item) { return item.first.find("hash") != std::string::npos; });
    metadata["format"] = "pt";
    tensors = detail::changed_file(model, changed);
  } else {
    const ModelFamily family = detail::family_of(model);
    for (const auto& part : original_parts(family)) {
      const auto found = changed.find(part.part);
      tensors.merge(to_original(part, found == changed.end() ? model.tensors(part.part) : found->second));
    }
    const auto schedule = noise_schedule_config_from_json(model.config("scheduler"), model.where("scheduler"));
    const bool velocity = schedule.prediction == PredictionType::kVPrediction;
    if (schedule.prediction != PredictionType::kSample)
      metadata["modelspec.prediction_type"] = velocity ? "v" : "epsilon";
    if (family == ModelFamily::kSdxl && velocity) tensors["v_pred"] = at::empty({0});
    if (family == ModelFamily::kSdxl && schedule.zero_terminal_snr) tensors["ztsnr"] = at::empty({0});
  }
  const auto config = file.parent_path() / "config";
  std::error_code code;
  if (detail::needs_config(model) && !std::filesystem::exists(config / "model_index.json", code)) {
    note("[ModelFiles] ", config.string(), " is written too: the configuration is none that is known without it");
    detail::write_model_config(config, model);
  }
  save_safetensors(file, tensors, metadata);
}

}  // namespace reward_tuner
