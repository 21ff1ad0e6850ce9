// Definitions of model_files.hpp.
#pragma once
#include <reward_tuner/models/model_files.hpp>

#include <functional>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ModelFiles ModelFiles::open(const std::filesystem::path& path, ModelFilesOptions options) {
  ModelFiles files;
  files.path_ = path;
  files.options_ = std::move(options);
  const auto& prediction = files.options_.prediction;
  if (std::filesystem::is_directory(path)) {
    check_variant(path, files.variant());
    if (!prediction) return files;
    const auto says = files.config("scheduler").value("prediction_type", nlohmann::json("epsilon"));
    REWARD_TUNER_CHECK(says == detail::prediction_word(*prediction), "[ModelFiles] ", files.where("scheduler"),
                       " says the network predicts ", says.dump(), ", expected ", detail::prediction_word(*prediction),
                       " as prediction");
    return files;
  }
  REWARD_TUNER_CHECK(std::filesystem::is_regular_file(path),
                     "[ModelFiles] expected a model folder in diffusers layout or a .safetensors file in the original "
                     "layout, got nothing at ",
                     path.string());
  REWARD_TUNER_CHECK(files.variant().empty(), "[ModelFiles] '", path.string(),
                     "' is one file, which has no variants: expected none, got ", files.variant());
  files.single_ = SingleFile::open(path, prediction);
  return files;
}

REWARD_TUNER_INLINE std::vector<std::string> ModelFiles::networks() const {
  const nlohmann::json index = config("model_index");
  const auto left_out = [&](const char* part) {  // [null, null]
    return index.contains(part) && index[part].is_array() && !index[part].empty() && index[part][0].is_null();
  };
  const auto is_there = [&](const char* part) {
    if (single_ && single_->config_folder().empty()) return !config(part).is_null();
    return std::filesystem::exists(where(part));
  };
  std::vector<std::string> all;
  for (const char* part : {"unet", "vae", "text_encoder", "text_encoder_2"})
    if (is_there(part) && !left_out(part)) all.emplace_back(part);
  return all;
}

REWARD_TUNER_INLINE nlohmann::json ModelFiles::config(const std::string& part) const {
  return single_ ? single_->config(part) : read_json(where(part));
}

REWARD_TUNER_INLINE std::string ModelFiles::where(const std::string& part) const {
  return single_ ? single_->where(part) : detail::config_file(path_, part).string();
}

REWARD_TUNER_INLINE std::filesystem::path ModelFiles::tokenizer_folder(const std::string& part) const {
  if (!options_.tokenizer.empty()) return part == "tokenizer_2" ? std::filesystem::path() : options_.tokenizer;
  const auto& folder = single_ ? single_->config_folder() : path_;
  return folder.empty() ? folder : folder / part;
}

REWARD_TUNER_INLINE ClipTokenizerFiles ModelFiles::tokenizer(const std::string& part) const {
  if (const auto folder = tokenizer_folder(part); !folder.empty()) return ClipTokenizerFiles::read(folder);
  if (!options_.tokenizer.empty()) {  // of SDXL's second text encoder
    ClipTokenizerFiles files = ClipTokenizerFiles::read(options_.tokenizer);
    if (files.vocabulary.contains("!")) files.options.pad = {.text = "!"};
    return files;
  }
  const bool exclamation = part == "tokenizer_2" || single_->family() == ModelFamily::kSd2;
  return clip_vocabulary(exclamation ? "!" : "<|endoftext|>");
}

REWARD_TUNER_INLINE WeightsSource ModelFiles::source(const std::string& part, const torch::nn::Module& network) const {
  if (single_) return single_->weights(part, network);
  const bool text = part.starts_with("text_encoder");
  return find_weights(path_ / part, text ? kTransformersWeights : kDiffusersWeights, options_.variant).open();
}

namespace detail {

/// What a diffusers folder calls a weight in its files -> the network's name.
inline std::function<std::string(std::string)> folder_key(const std::string& part) {
  if (part == "vae") return rename_legacy_vae_key;
  if (part.starts_with("text_encoder")) return clip_text_key;
  return {};
}

}  // namespace detail

REWARD_TUNER_INLINE void ModelFiles::load(const std::string& part, torch::nn::Module& network) const {
  LoadOptions load;
  if (!single_) load.rename = detail::folder_key(part);
  if (!single_ && part.starts_with("text_encoder")) load.round_to = transformers_dtype(config(part));
  load_weights(network, source(part, network), load);
}

REWARD_TUNER_INLINE std::map<std::string, Tensor> ModelFiles::tensors(const std::string& part) const {
  const NewWeightsScope shapes_alone(at::TensorOptions().device(at::kMeta));
  const auto shape = make_network(part, config(part), where(part));
  const auto rename = single_ ? nullptr : detail::folder_key(part);
  const WeightsSource weights = source(part, *shape);
  load_weights(*shape, weights, {.rename = rename});  // the checks: nothing is copied to the meta device
  std::map<std::string, Tensor> all;
  for (const std::string& name : weights.names())
    if (const std::string own = rename ? rename(name) : name; !own.empty()) all[own] = weights.tensor(name);
  return all;
}

}  // namespace reward_tuner
