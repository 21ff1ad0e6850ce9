// Definitions of pipeline_lora.hpp.
#pragma once
#include <reward_tuner/models/pipeline_lora.hpp>

#include <cmath>
#include <cstdlib>
#include <map>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE LoraSource lora_source(const std::string& text) {
  REWARD_TUNER_CHECK(!text.empty(), "[LoRA] expected PATH or PATH:SCALE, got nothing");
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(text)) return {text};
  const std::string after = text.substr(colon + 1);
  char* end = nullptr;
  const double scale = std::strtod(after.c_str(), &end);
  const bool number = !after.empty() && end == after.c_str() + after.size();
  if (!number && !after.empty()) return {text};  // a path with a colon; whether it exists is the reader's question
  REWARD_TUNER_CHECK(colon > 0 && number && std::isfinite(scale),
                     "[LoRA] expected PATH or PATH:SCALE with a finite number as the scale, got '", text, "'");
  return {text.substr(0, colon), scale};
}

namespace detail {

/// The networks of a pipeline that take a LoRA, by the names of its parts, the UNet first.
inline std::vector<std::pair<std::string, torch::nn::Module*>> lora_networks(StableDiffusion& pipeline) {
  std::vector<std::pair<std::string, torch::nn::Module*>> networks = {{"unet", &pipeline.unet()}};
  for (const auto& [name, model] : pipeline.text_encoders()) networks.emplace_back(name, model);
  return networks;
}

/// The layers of all of them, which a file may name.
inline LoraParts lora_parts(StableDiffusion& pipeline) {
  LoraParts parts;
  for (const auto& [part, network] : lora_networks(pipeline)) parts[part] = Lora::layer_paths(*network);
  return parts;
}

/// One adapter for each layer, those of one part stacked.
inline std::map<std::string, LoraLayers> stacked_layers(const std::vector<const Lora*>& loras, double strength = 1) {
  std::map<std::string, std::map<std::string, std::vector<LowRank>>> all;  // part -> path -> adapters
  for (const Lora* lora : loras)
    for (const auto& [path, layer] : lora->saved_layers(strength)) all[lora->prefix()][path].push_back(layer);
  const torch::NoGradGuard no_grad;
  std::map<std::string, LoraLayers> parts;
  for (const auto& [part, layers] : all)
    for (const auto& [path, adapters] : layers) {
      std::vector<const LowRank*> pointers;
      for (const LowRank& adapter : adapters) pointers.push_back(&adapter);
      parts[part][path] = stacked(pointers);
    }
  return parts;
}

}  // namespace detail

REWARD_TUNER_INLINE std::vector<Lora> load_lora(StableDiffusion& pipeline,
                                                const std::filesystem::path& folder_or_file) {
  const auto adapters = read_lora(folder_or_file, detail::lora_parts(pipeline));
  std::vector<Lora> loras;
  try {
    for (const auto& [part, network] : detail::lora_networks(pipeline))
      if (const auto found = adapters.find(part); found != adapters.end())
        loras.push_back(Lora::from_layers(*network, found->second, part));
  } catch (...) {
    for (Lora& lora : loras) lora.detach();
    throw;
  }
  return loras;
}

REWARD_TUNER_INLINE std::vector<Lora> load_loras(StableDiffusion& pipeline, const std::vector<LoraSource>& sources) {
  std::vector<Lora> all;
  try {
    for (const auto& source : sources)
      for (Lora& lora : load_lora(pipeline, source.path)) {
        all.push_back(std::move(lora));
        all.back().freeze();
        all.back().set_scale(source.scale);
      }
  } catch (...) {
    for (Lora& lora : all) lora.detach();
    throw;
  }
  return all;
}

REWARD_TUNER_INLINE void save_loras(const std::filesystem::path& folder_or_file, const std::vector<const Lora*>& loras,
                                    double strength) {
  write_lora(folder_or_file, detail::stacked_layers(loras, strength));
}

REWARD_TUNER_INLINE void save_loras_kohya(const std::filesystem::path& file, const std::vector<const Lora*>& loras,
                                          StableDiffusion& pipeline) {
  write_lora_kohya(file, detail::stacked_layers(loras), kohya_names(detail::lora_parts(pipeline)));
}

}  // namespace reward_tuner
