// Definitions of lora_files.hpp.
#pragma once
#include <reward_tuner/lora/lora_files.hpp>

#include <ATen/ops/full.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE bool ends_with(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

REWARD_TUNER_INLINE bool lora_target_matches(const std::string& path, const std::string& target) {
  return path == target || ends_with(path, "." + target);
}

/// "lora_unet_" for the prefix "unet", "lora_te_" for "text_encoder": the name spaces of Kohya's scripts.
inline std::string kohya_prefix(const std::string& prefix) {
  return "lora_" + (prefix == "text_encoder" ? std::string("te") : prefix) + "_";
}

inline std::string kohya_name(const std::string& path, const std::string& prefix) {
  // diffusers' reader of Kohya files knows SDXL's embedding of sizes by its original name only.
  if (path == "add_embedding.linear_1") return kohya_prefix(prefix) + "label_emb_0_0";
  if (path == "add_embedding.linear_2") return kohya_prefix(prefix) + "label_emb_0_2";
  std::string name = kohya_prefix(prefix) + path;
  std::replace(name.begin() + static_cast<std::ptrdiff_t>(kohya_prefix(prefix).size()), name.end(), '.', '_');
  return name;
}

REWARD_TUNER_INLINE std::optional<LoraKey> split_lora_key(const std::string& key) {
  struct Ending {
    std::string_view text;
    LoraPart part;
  };
  static constexpr std::array<Ending, 9> kEndings{{{".lora_A.weight", LoraPart::kDown},
                                                   {".lora_B.weight", LoraPart::kUp},
                                                   {".lora.down.weight", LoraPart::kDown},
                                                   {".lora.up.weight", LoraPart::kUp},
                                                   {".lora_down.weight", LoraPart::kDown},
                                                   {".lora_up.weight", LoraPart::kUp},
                                                   {"_lora.down.weight", LoraPart::kDown},
                                                   {"_lora.up.weight", LoraPart::kUp},
                                                   {".alpha", LoraPart::kAlpha}}};
  for (const auto& ending : kEndings)
    if (ends_with(key, ending.text)) return LoraKey{key.substr(0, key.size() - ending.text.size()), ending.part};
  return std::nullopt;
}

/// The scale alpha / rank that an adapter configuration of peft gives to a layer.
class LoraMetadata {
 public:
  /// `config` is the peft configuration without the "unet." prefixes; `where` names the file in errors.
  LoraMetadata(nlohmann::json config, std::string where) : config_(std::move(config)), where_(std::move(where)) {
    for (const char* key : {"use_dora", "use_qalora", "lora_bias", "fan_in_fan_out"})
      REWARD_TUNER_CHECK(!config_.contains(key) || config_[key].is_null() || config_[key] == false, "[LoRA] ", where_,
                         ": unsupported adapter: ", key, " is ", json_excerpt(config_[key]), ", expected false");
    REWARD_TUNER_CHECK(config_.contains("lora_alpha") && config_["lora_alpha"].is_number(), "[LoRA] ", where_,
                       ": lora_adapter_metadata has no number lora_alpha");
    REWARD_TUNER_CHECK(!config_.contains("alpha_pattern") || config_["alpha_pattern"].is_object(), "[LoRA] ", where_,
                       ": alpha_pattern must be an object");
    REWARD_TUNER_CHECK(!config_.contains("use_rslora") || config_["use_rslora"].is_boolean(), "[LoRA] ", where_,
                       ": use_rslora must be a boolean");
  }
  double scale(const std::string& path, std::int64_t rank) const {
    double alpha = config_["lora_alpha"].get<double>();
    if (config_.contains("alpha_pattern"))
      for (const auto& [pattern, value] : config_["alpha_pattern"].items()) {
        REWARD_TUNER_CHECK(value.is_number() && pattern.find_first_of("*+?[](){}|^$\\") == std::string::npos, "[LoRA] ",
                           where_, ": unsupported alpha_pattern ", shortened(pattern), ": ", json_excerpt(value),
                           "; expected a plain layer name and a number");
        if (lora_target_matches(path, pattern)) {
          alpha = value.get<double>();
          break;  // peft takes the first pattern
        }
      }
    return alpha /
           (config_.value("use_rslora", false) ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
  }

 private:
  nlohmann::json config_;
  std::string where_;
};

inline std::optional<LoraMetadata> read_lora_metadata(const SafetensorsFile& file, const std::string& prefix) {
  const auto text = file.metadata().find("lora_adapter_metadata");
  if (text == file.metadata().end()) return std::nullopt;
  const nlohmann::json all = parse_json(text->second, "lora_adapter_metadata of '" + file.path() + "'");
  REWARD_TUNER_CHECK(all.is_object(), "[LoRA] '", file.path(), "': lora_adapter_metadata must be an object");
  nlohmann::json own = nlohmann::json::object();
  for (const auto& [key, value] : all.items())
    if (key.rfind(prefix + ".", 0) == 0) own[key.substr(prefix.size() + 1)] = value;
  if (own.empty()) return std::nullopt;
  return LoraMetadata(std::move(own), "'" + file.path() + "'");
}

/// For a folder, the file that diffusers looks for in it.
inline std::filesystem::path lora_file(const std::filesystem::path& folder_or_file) {
  return folder_or_file.extension() == ".safetensors" ? folder_or_file : folder_or_file / kLoraFileName;
}

}  // namespace detail

REWARD_TUNER_INLINE LoraLayers read_lora(const std::filesystem::path& folder_or_file,
                                         const std::vector<std::string>& paths, const std::string& prefix) {
  const auto file = SafetensorsFile::open(detail::lora_file(folder_or_file));
  const std::set<std::string> layers(paths.begin(), paths.end());
  std::map<std::string, std::string> kohya;
  for (const auto& path : paths)
    REWARD_TUNER_CHECK(kohya.emplace(detail::kohya_name(path, prefix), path).second,
                       "[LoRA] two layers share the Kohya name ", detail::kohya_name(path, prefix));

  const auto path_of = [&](std::string stem) -> std::string {  // empty: no such layer
    if (const auto found = kohya.find(stem); found != kohya.end()) return found->second;
    if (stem.rfind(prefix + ".", 0) == 0) stem.erase(0, prefix.size() + 1);
    if (const auto processor = stem.find(".processor."); processor != std::string::npos)
      stem.erase(processor, std::string_view(".processor").size());
    if (layers.count(stem) == 0 && detail::ends_with(stem, ".to_out")) stem += ".0";
    return layers.count(stem) != 0 ? stem : "";
  };

  LoraLayers adapters;
  std::map<std::string, double> alphas;
  std::vector<std::string> unmatched, incomplete;
  for (const auto& name : file.names()) {
    const auto key = detail::split_lora_key(name);
    const std::string path = key ? path_of(key->stem) : "";
    if (path.empty()) {
      unmatched.push_back(detail::shortened(name));
      continue;
    }
    bool repeated = false;
    if (key->part == detail::LoraPart::kAlpha) {
      const Tensor alpha = file.tensor(name);
      REWARD_TUNER_CHECK(alpha.numel() == 1, "[LoRA] '", file.path(), "': ", detail::shortened(name),
                         " must be one number, got shape ", detail::shape_text(alpha.sizes()));
      repeated = !alphas.emplace(path, alpha.item<double>()).second;
    } else {
      Tensor& factor = key->part == detail::LoraPart::kDown ? adapters[path].down : adapters[path].up;
      repeated = factor.defined();
      factor = file.tensor(name);
    }
    REWARD_TUNER_CHECK(!repeated, "[LoRA] '", file.path(), "' holds two tensors for the same factor of ",
                       detail::shortened(path), ", one is ", detail::shortened(name));
  }
  for (const auto& [path, adapter] : adapters)
    if (!adapter.down.defined() || !adapter.up.defined()) incomplete.push_back(detail::shortened(path));
  for (const auto& [path, alpha] : alphas)
    if (adapters.count(path) == 0) incomplete.push_back(detail::shortened(path));
  const std::string problems = detail::problem_list("names that match no layer", unmatched) +
                               detail::problem_list("layers without both factors", incomplete);
  REWARD_TUNER_CHECK(problems.empty(), "[LoRA] '", file.path(), "' does not fit the network of ", paths.size(),
                     " adaptable layers (prefix '", prefix, "')", problems);
  REWARD_TUNER_CHECK(!adapters.empty(), "[LoRA] '", file.path(), "' holds no adapter");

  const auto metadata = detail::read_lora_metadata(file, prefix);
  for (auto& [path, adapter] : adapters) {
    REWARD_TUNER_CHECK(adapter.down.dim() >= 2 && adapter.up.dim() >= 2 && adapter.down.size(0) == adapter.up.size(1) &&
                           adapter.down.size(0) > 0,
                       "[LoRA] '", file.path(), "': the factors of ", detail::shortened(path), " have the shapes ",
                       detail::shape_text(adapter.down.sizes()), " and ", detail::shape_text(adapter.up.sizes()),
                       ", expected [rank, in, ...] and [out, rank, ...]");
    const std::int64_t rank = adapter.down.size(0);
    const auto alpha = alphas.find(path);
    adapter.scale = alpha != alphas.end() ? alpha->second / static_cast<double>(rank)
                    : metadata            ? metadata->scale(path, rank)
                                          : 1.0;
    REWARD_TUNER_CHECK(std::isfinite(adapter.scale), "[LoRA] '", file.path(), "': alpha of ", detail::shortened(path),
                       " is not finite");
  }
  return adapters;
}

REWARD_TUNER_INLINE void write_lora(const std::filesystem::path& folder_or_file, const LoraLayers& layers,
                                    const std::string& prefix, const std::vector<std::string>& targets) {
  REWARD_TUNER_CHECK(!layers.empty(), "[LoRA] expected at least one layer to save, got none");
  const auto path = detail::lora_file(folder_or_file);
  if (path != folder_or_file) std::filesystem::create_directories(folder_or_file);
  const std::int64_t rank = layers.begin()->second.down.size(0);
  nlohmann::json ranks = nlohmann::json::object(), names = nlohmann::json::array();
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, layer] : layers) {
    const Tensor up = layer.up.detach();
    tensors[prefix + "." + name + ".lora_A.weight"] = layer.down.detach();
    tensors[prefix + "." + name + ".lora_B.weight"] = layer.scale == 1.0 ? up : up * layer.scale;
    if (layer.down.size(0) != rank) ranks[name] = layer.down.size(0);
    names.push_back(name);
  }
  nlohmann::json metadata;
  const auto put = [&](const char* key, const nlohmann::json& value) { metadata[prefix + "." + key] = value; };
  put("peft_type", "LORA");
  put("r", rank);
  put("lora_alpha", rank);
  put("rank_pattern", ranks);
  put("alpha_pattern", ranks);
  put("target_modules", targets.empty() ? names : nlohmann::json(targets));
  put("init_lora_weights", "gaussian");
  put("lora_dropout", 0.0);
  put("bias", "none");
  for (const char* key : {"use_dora", "use_rslora", "lora_bias", "fan_in_fan_out"}) put(key, false);
  save_safetensors(path, tensors, {{"format", "pt"}, {"lora_adapter_metadata", metadata.dump(2)}});
}

REWARD_TUNER_INLINE void write_lora_kohya(const std::filesystem::path& file, const LoraLayers& layers,
                                          const std::string& prefix) {
  REWARD_TUNER_CHECK(!layers.empty(), "[LoRA] expected at least one layer to save, got none");
  std::map<std::string, Tensor> tensors;
  for (const auto& [path, layer] : layers) {
    const std::string name = detail::kohya_name(path, prefix);
    REWARD_TUNER_CHECK(tensors.count(name + ".alpha") == 0, "[LoRA] two layers share the Kohya name ", name);
    tensors[name + ".lora_down.weight"] = layer.down.detach();
    tensors[name + ".lora_up.weight"] = layer.up.detach();
    tensors[name + ".alpha"] = at::full({}, layer.scale * static_cast<double>(layer.down.size(0)), at::kFloat);
  }
  save_safetensors(file, tensors, {{"format", "pt"}, {"ss_network_module", "networks.lora"}});
}

}  // namespace reward_tuner
