// Definitions of known_layers.hpp.
#pragma once
#include <reward_tuner/models/known_layers.hpp>

#include <set>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/lora/lora_files.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE LoraParts known_layers(KnownModel model) {
  const NewWeightsScope shapes_alone(at::TensorOptions().device(at::kMeta));
  LoraParts parts;
  for (const char* part : {"unet", "text_encoder", "text_encoder_2"})
    if (const auto config = known_configuration(model, part); !config.is_null())
      parts[part] = Lora::layer_paths(*make_network(part, config, part));
  return parts;
}

REWARD_TUNER_INLINE LoraParts known_layers(const std::filesystem::path& lora) {
  std::set<std::string> reasons;
  for (const KnownModel model : {KnownModel::kSd15, KnownModel::kSd21, KnownModel::kSdxlBase}) {
    LoraParts parts = known_layers(model);
    try {
      read_lora(lora, parts);
      note("[LoRA] the layers of ", lora.string(), " are taken for those of ", known_model_name(model),
           "; --model decides otherwise");
      return parts;
    } catch (const Error& error) {
      reasons.insert(error.what());
    }
  }
  if (reasons.size() == 1) detail::fail(*reasons.begin());
  std::string all;
  for (const std::string& reason : reasons) all += "\n" + reason;
  detail::fail("[LoRA] ", lora.string(),
               " fits none of Stable Diffusion 1, 2 and XL, expected --model with its model:", all);
}

}  // namespace reward_tuner
