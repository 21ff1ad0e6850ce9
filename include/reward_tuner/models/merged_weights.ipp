// Definitions of merged_weights.hpp.
#pragma once
#include <reward_tuner/models/merged_weights.hpp>

#include <map>
#include <string>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE LoraParts lora_parts(const ModelFiles& model) {
  const NewWeightsScope shapes_alone(at::TensorOptions().device(at::kMeta));
  LoraParts parts;
  for (const std::string& part : model.networks())
    if (part != "vae") parts[part] = Lora::layer_paths(*make_network(part, model.config(part), model.where(part)));
  return parts;
}

REWARD_TUNER_INLINE PartWeights merged_weights(const ModelFiles& model, const std::vector<LoraSource>& loras) {
  REWARD_TUNER_CHECK(!loras.empty(), "[LoRA] expected at least one LoRA to merge, got none");
  const LoraParts known = lora_parts(model);
  std::map<std::string, std::map<std::string, std::vector<LowRank>>> changes;  // part -> path -> corrections
  for (const LoraSource& lora : loras) {
    REWARD_TUNER_CHECK(lora.scale != 0, "[LoRA] expected a scale other than 0 of ", lora.path.string(),
                       ", which would change nothing");
    for (auto& [part, layers] : read_lora(lora.path, known))
      for (auto& [path, factors] : layers) {
        factors.scale *= lora.scale;
        changes[part][path].push_back(std::move(factors));
      }
  }
  PartWeights merged;
  for (const auto& [part, layers] : changes) {
    merged[part] = model.tensors(part);
    for (const auto& [path, corrections] : layers) {
      const Tensor& weight = merged[part].at(path + ".weight");
      for (const LowRank& change : corrections)
        REWARD_TUNER_CHECK(change.up.size(0) == weight.size(0) &&
                               change.up.size(0) * (change.down.numel() / change.down.size(0)) == weight.numel(),
                           "[LoRA] the layer ", path, " of ", part, " has a weight of the shape ", weight.sizes(),
                           ", expected factors that fit it, got ", change.up.sizes(), " and ", change.down.sizes());
    }
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [part, layers] : changes)
    for (const auto& [path, corrections] : layers) {
      Tensor& weight = merged[part].at(path + ".weight");
      const auto type = weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
      Tensor sum = weight.to(type, /*non_blocking=*/false, /*copy=*/true);  // [O,I,...]
      for (const LowRank& change : corrections)
        sum += LowRank{change.down.to(type), change.up.to(type), change.scale}.delta().view(sum.sizes());  // [O,I,...]
      weight = sum.to(weight.scalar_type());
    }
  return merged;
}

}  // namespace reward_tuner
