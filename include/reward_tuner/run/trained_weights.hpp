// What a run trains, by name, and how the result is saved: a LoRA or a whole UNet.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>

namespace reward_tuner {

/// The trained tensors of a run. They are shared with the network, not copied.
struct TrainedWeights {
  std::vector<std::pair<std::string, Tensor>> named;  ///< the optimizer's tensors with their names in a checkpoint
  /// writes the result below the run's folder; empty saves nothing
  std::function<void(const std::filesystem::path& run)> save = {};
  nlohmann::json options = nlohmann::json::object();  ///< what else decides the numbers: compared on a resume

  std::vector<Tensor> tensors() const {
    std::vector<Tensor> all;
    for (const auto& item : named) all.push_back(item.second);
    return all;
  }
};

/// A LoRA, which must outlive the result. Saved as lora/pytorch_lora_weights.safetensors, at a strength (Lora::save).
inline TrainedWeights trained_weights(const Lora& lora, double saved_strength = 1) {
  return {
      .named = lora.named_parameters(),
      .save = [&lora, saved_strength](const std::filesystem::path& run) { lora.save(run / "lora", saved_strength); },
      .options = {{"alpha", lora.options().alpha}, {"scale", lora.scale()}}};
}

/// LoRAs on several networks, which must outlive the result, each under its prefix; frozen ones are only saved. Saved
/// as one file, lora/pytorch_lora_weights.safetensors, all at one strength.
inline TrainedWeights trained_weights(const std::vector<const Lora*>& loras, double saved_strength = 1) {
  TrainedWeights weights;
  for (const Lora* lora : loras) {
    if (lora->frozen()) continue;
    for (const auto& [name, tensor] : lora->named_parameters())
      weights.named.emplace_back(lora->prefix() + "." + name, tensor);
    weights.options[lora->prefix()] = {{"alpha", lora->options().alpha}, {"scale", lora->scale()}};
  }
  weights.save = [loras, saved_strength](const std::filesystem::path& run) {
    save_loras(run / "lora", loras, saved_strength);
  };
  return weights;
}

/// All weights of the pipeline's UNet; call it after `train_unet()`. The pipeline must outlive the result. Saved as a
/// whole model folder, model/.
template <class Pipeline>
TrainedWeights trained_unet(Pipeline& pipeline) {
  TrainedWeights weights;
  for (const auto& item : pipeline.unet().named_parameters()) weights.named.emplace_back(item.key(), item.value());
  weights.save = [&pipeline](const std::filesystem::path& run) { pipeline.save(run / "model"); };
  return weights;
}

}  // namespace reward_tuner
