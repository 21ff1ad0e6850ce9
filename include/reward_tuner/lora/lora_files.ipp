// Definitions of lora_files.hpp.
#pragma once
#include <reward_tuner/lora/lora_files.hpp>

#include <ATen/ops/full.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/file_bytes.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/lora/peft_config.hpp>

namespace reward_tuner {

namespace detail {

inline bool is_pickle(const std::filesystem::path& file) {
  static const std::set<std::string> kEndings = {".bin", ".pt", ".pth", ".ckpt"};
  return kEndings.count(file.extension().string()) != 0;
}

[[noreturn]] inline void refuse_pickle(const std::filesystem::path& file) {
  fail("[LoRA] '", file.string(),
       "' is a pickle file, which is not read because it can run code: expected a .safetensors file. Convert it in "
       "Python: from safetensors.torch import save_file; import torch; save_file(torch.load('",
       file.filename().string(), "', map_location='cpu', weights_only=True), '",
       std::filesystem::path(file.filename()).replace_extension(".safetensors").string(), "')");
}

/// peft's settings for each part that a file may adapt: one adapter_config.json for all, else those of the header.
class PeftSettings {
 public:
  explicit PeftSettings(const SafetensorsFile& file) : file_(file) {
    const auto beside = std::filesystem::path(file.path()).parent_path() / "adapter_config.json";
    if (std::filesystem::path(file.path()).filename() != "adapter_model.safetensors" ||
        !std::filesystem::is_regular_file(beside))
      return;
    common_ = PeftConfig::parse(read_bytes(beside), "'" + beside.string() + "'");
  }

  /// alpha / rank as the settings have it, or nothing where there are none.
  std::optional<double> scale(const LoraPlace& place, std::int64_t rank) {
    const PeftConfig& config = of(place.part);
    return config.given() ? std::optional<double>(config.scale(place.path, rank)) : std::nullopt;
  }

 private:
  const PeftConfig& of(const std::string& part) {
    if (common_.given()) return common_;
    const auto known = parts_.find(part);
    if (known != parts_.end()) return known->second;
    const auto text = file_.metadata().find("lora_adapter_metadata");
    return parts_[part] =
               text == file_.metadata().end()
                   ? PeftConfig()
                   : PeftConfig::parse(text->second, "lora_adapter_metadata of '" + file_.path() + "'", part);
  }

  const SafetensorsFile& file_;
  PeftConfig common_;
  std::map<std::string, PeftConfig> parts_;
};

/// The adapters of a file while its tensors come in: factors and alphas by place.
class LoraReader {
 public:
  LoraReader(const std::filesystem::path& folder_or_file, const LoraParts& parts)
      : file_(SafetensorsFile::open(find_lora_file(folder_or_file))), parts_(parts), names_(parts), settings_(file_) {}

  std::map<std::string, LoraLayers> read() {
    for (const auto& name : file_.names()) take(name);
    check_complete();
    for (auto& [part, layers] : adapters_)
      for (auto& [path, adapter] : layers) adapter.scale = scale({part, path}, adapter);
    return std::move(adapters_);
  }

 private:
  void take(const std::string& name) {
    const std::string_view foreign = foreign_adapter(name);
    REWARD_TUNER_CHECK(foreign.empty(), "[LoRA] '", file_.path(), "' is ", foreign, " (", shortened(name),
                       "), expected a plain LoRA");
    const auto key = split_lora_key(name);
    const auto place = key ? names_.find(key->stem) : std::nullopt;
    if (!place) {
      const auto part = claimed_lora_part(name);
      if (part && parts_.count(*part) == 0) other_parts_.insert(*part);
      return unmatched_.push_back(shortened(name));
    }
    bool repeated = false;
    if (key->part == LoraPart::kAlpha) {
      const Tensor alpha = file_.tensor(name);
      REWARD_TUNER_CHECK(alpha.numel() == 1, "[LoRA] '", file_.path(), "': ", shortened(name),
                         " must be one number, got shape ", shape_text(alpha.sizes()));
      repeated = !alphas_[place->part].emplace(place->path, alpha.item<double>()).second;
    } else {
      LowRank& adapter = adapters_[place->part][place->path];
      Tensor& factor = key->part == LoraPart::kDown ? adapter.down : adapter.up;
      repeated = factor.defined();
      factor = file_.tensor(name);
    }
    REWARD_TUNER_CHECK(!repeated, "[LoRA] '", file_.path(), "' holds two tensors for the same factor of ",
                       shortened(place->path), ", one is ", shortened(name));
  }

  void check_complete() const {
    std::vector<std::string> incomplete;
    for (const auto& [part, layers] : adapters_)
      for (const auto& [path, adapter] : layers)
        if (!adapter.down.defined() || !adapter.up.defined()) incomplete.push_back(shortened(path));
    for (const auto& [part, alphas] : alphas_)
      for (const auto& [path, alpha] : alphas)
        if (adapters_.count(part) == 0 || adapters_.at(part).count(path) == 0) incomplete.push_back(shortened(path));
    std::string problems =
        problem_list("names that match no layer", unmatched_) + problem_list("layers without both factors", incomplete);
    if (!problems.empty() || adapters_.empty()) {
      std::string given;
      std::size_t count = 0;
      for (const auto& [part, paths] : parts_) {
        given += (given.empty() ? "" : ", ") + part;
        count += paths.size();
      }
      for (const auto& part : other_parts_)
        problems += "; names like those of the part " + part + ", which was not given";
      REWARD_TUNER_CHECK(problems.empty(), "[LoRA] '", file_.path(), "' does not fit the ", count,
                         " adaptable layers of ", given, problems);
      fail("[LoRA] '", file_.path(), "' holds no adapter");
    }
  }

  double scale(const LoraPlace& place, const LowRank& adapter) {
    REWARD_TUNER_CHECK(adapter.down.dim() >= 2 && adapter.up.dim() >= 2 && adapter.down.size(0) == adapter.up.size(1) &&
                           adapter.down.size(0) > 0,
                       "[LoRA] '", file_.path(), "': the factors of ", shortened(place.path), " have the shapes ",
                       shape_text(adapter.down.sizes()), " and ", shape_text(adapter.up.sizes()),
                       ", expected [rank, in, ...] and [out, rank, ...]");
    const std::int64_t rank = adapter.down.size(0);
    const auto alphas = alphas_.find(place.part);
    std::optional<double> scale;
    if (alphas != alphas_.end())
      if (const auto alpha = alphas->second.find(place.path); alpha != alphas->second.end())
        scale = alpha->second / static_cast<double>(rank);
    if (!scale) scale = settings_.scale(place, rank);
    REWARD_TUNER_CHECK(!scale || std::isfinite(*scale), "[LoRA] '", file_.path(), "': alpha of ", shortened(place.path),
                       " is not finite");
    return scale.value_or(1.0);
  }

  SafetensorsFile file_;
  const LoraParts& parts_;
  LoraNames names_;
  PeftSettings settings_;
  std::map<std::string, LoraLayers> adapters_;
  std::map<std::string, std::map<std::string, double>> alphas_;
  std::vector<std::string> unmatched_;
  std::set<std::string> other_parts_;
};

}  // namespace detail

REWARD_TUNER_INLINE std::filesystem::path find_lora_file(const std::filesystem::path& folder_or_file) {
  namespace fs = std::filesystem;
  REWARD_TUNER_CHECK(fs::exists(folder_or_file), "[LoRA] expected a LoRA file or a folder with one, got nothing at '",
                     folder_or_file.string(), "'");
  if (!fs::is_directory(folder_or_file)) {
    if (detail::is_pickle(folder_or_file)) detail::refuse_pickle(folder_or_file);
    return folder_or_file;
  }
  for (const char* name : {kLoraFileName, "adapter_model.safetensors"})
    if (fs::is_regular_file(folder_or_file / name)) return folder_or_file / name;
  std::vector<fs::path> files, pickles;
  for (const std::string& name : names_in(folder_or_file)) {
    const fs::path file = folder_or_file / name;
    const bool state = name.find("optimizer") != std::string::npos || name.find("scheduler") != std::string::npos ||
                       name.find("checkpoint") != std::string::npos;
    if (!fs::is_regular_file(file) || state) continue;
    if (file.extension() == ".safetensors") files.push_back(file);
    else if (detail::is_pickle(file)) pickles.push_back(file);
  }
  if (files.empty() && !pickles.empty()) detail::refuse_pickle(*std::min_element(pickles.begin(), pickles.end()));
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(detail::shortened(file.filename().string()));
  std::sort(names.begin(), names.end());
  REWARD_TUNER_CHECK(files.size() == 1, "[LoRA] '", folder_or_file.string(),
                     "' must hold one .safetensors file, or one called ", kLoraFileName, ", got ", files.size(),
                     detail::problem_list("files", names));
  return files.front();
}

REWARD_TUNER_INLINE std::map<std::string, LoraLayers> read_lora(const std::filesystem::path& folder_or_file,
                                                                const LoraParts& parts) {
  return detail::LoraReader(folder_or_file, parts).read();
}

REWARD_TUNER_INLINE void write_lora(const std::filesystem::path& folder_or_file,
                                    const std::map<std::string, LoraLayers>& parts,
                                    const std::map<std::string, std::vector<std::string>>& targets, LoraAlpha alpha) {
  REWARD_TUNER_CHECK(!parts.empty(), "[LoRA] expected at least one layer to save, got none");
  // The modules of transformers 5 lack this word; peft takes the end of a path, so that a name without it fits 4 too.
  const auto peft_name = [](const std::string& path) {
    constexpr std::string_view kClassic = "text_model.";
    return path.starts_with(kClassic) ? path.substr(kClassic.size()) : path;
  };
  const bool folded = alpha == LoraAlpha::kFolded;
  const auto stated = [&](const LowRank& layer) -> nlohmann::json {  // alpha, a whole number where it is one
    const std::int64_t r = layer.down.size(0);
    const double value = layer.scale * static_cast<double>(r), whole = std::round(value);
    if (folded) return r;
    if (value == whole && std::abs(value) < 1e15) return static_cast<std::int64_t>(whole);
    return value;
  };
  nlohmann::json metadata;
  std::map<std::string, Tensor> tensors;
  for (const auto& [part, layers] : parts) {
    REWARD_TUNER_CHECK(!layers.empty(), "[LoRA] expected at least one layer of ", part, " to save, got none");
    const LowRank& first = layers.begin()->second;
    const std::int64_t rank = first.down.size(0);
    nlohmann::json ranks = nlohmann::json::object(), alphas = ranks, names = nlohmann::json::array();
    for (const auto& [name, layer] : layers) {
      const Tensor up = layer.up.detach();
      tensors[part + "." + name + ".lora_A.weight"] = layer.down.detach();
      tensors[part + "." + name + ".lora_B.weight"] = !folded || layer.scale == 1.0 ? up : up * layer.scale;
      const std::string target = peft_name(name);
      if (layer.down.size(0) != rank) ranks[target] = layer.down.size(0);
      if (stated(layer) != stated(first)) alphas[target] = stated(layer);
      names.push_back(target);
    }
    const auto put = [&, &part = part](const char* key, const nlohmann::json& value) {
      metadata[part + "." + key] = value;
    };
    put("peft_type", "LORA");
    put("r", rank);
    put("lora_alpha", stated(first));
    put("rank_pattern", ranks);
    put("alpha_pattern", alphas);
    if (const auto chosen = targets.find(part); chosen != targets.end()) {
      names.clear();
      for (const std::string& target : chosen->second) names.push_back(peft_name(target));
    }
    put("target_modules", names);
    put("init_lora_weights", "gaussian");
    put("lora_dropout", 0.0);
    put("bias", "none");
    for (const char* key : {"use_dora", "use_rslora", "lora_bias", "fan_in_fan_out"}) put(key, false);
  }
  auto file = folder_or_file;
  if (file.extension() != ".safetensors") {
    make_folder(folder_or_file);
    file /= kLoraFileName;
  }
  save_safetensors(file, tensors, {{"format", "pt"}, {"lora_adapter_metadata", metadata.dump(2)}});
}

REWARD_TUNER_INLINE void write_lora_kohya(const std::filesystem::path& file,
                                          const std::map<std::string, LoraLayers>& parts, const KohyaNames& names) {
  REWARD_TUNER_CHECK(!parts.empty(), "[LoRA] expected at least one layer to save, got none");
  std::map<std::string, Tensor> tensors;
  for (const auto& [part, layers] : parts) {
    REWARD_TUNER_CHECK(!layers.empty(), "[LoRA] expected at least one layer of ", part, " to save, got none");
    for (const auto& [path, layer] : layers) {
      const auto own = names.find(part);
      const std::string name = own == names.end() ? kohya_name(path, part) : own->second.at(path);
      REWARD_TUNER_CHECK(tensors.count(name + ".alpha") == 0, "[LoRA] two layers share the Kohya name ", name);
      tensors[name + ".lora_down.weight"] = layer.down.detach();
      tensors[name + ".lora_up.weight"] = layer.up.detach();
      tensors[name + ".alpha"] = at::full({}, layer.scale * static_cast<double>(layer.down.size(0)), at::kFloat);
    }
  }
  save_safetensors(file, tensors, {{"format", "pt"}, {"ss_network_module", "networks.lora"}});
}

}  // namespace reward_tuner
