// Definitions of network_scopes.hpp.
#pragma once
#include <reward_tuner/models/network_scopes.hpp>

#include <algorithm>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ReferenceScope::ReferenceScope(UNet2DConditionModel& network,
                                                   const std::vector<TextTower>& text_encoders,
                                                   const std::map<std::string, Tensor>& kept,
                                                   UNet2DConditionModel*& copy_in_use)
    : copy_in_use_(copy_in_use), before_(copy_in_use) {
  adapters_.emplace_back(network, AdapterMode::kReference);
  for (const TextTower& tower : text_encoders) adapters_.emplace_back(*tower.model, AdapterMode::kReference);
  const bool trains =
      std::any_of(adapters_.begin(), adapters_.end(), [](const AdapterScope& scope) { return scope.trains(); });
  REWARD_TUNER_CHECK(trains || !kept.empty(),
                     "[StableDiffusion] a reference network was asked for, but no LoRA is trained and no weights "
                     "were kept; attach a LoRA or call keep_reference() before full fine-tuning");
  copy_in_use_ = nullptr;
  if (kept.empty()) return;
  for (auto& item : network.named_parameters()) {
    tuned_.emplace_back(item.value(), item.value().detach());
    item.value().set_data(kept.at(item.key()));
  }
}

REWARD_TUNER_INLINE ReferenceScope::~ReferenceScope() {
  copy_in_use_ = before_;
  for (auto& [parameter, value] : tuned_) parameter.set_data(value);
}

REWARD_TUNER_INLINE ActivationCheckpointScope::ActivationCheckpointScope(UNet2DConditionModel& unet)
    : unet_(unet), before_(unet.activation_checkpointing()) {
  unet_.set_activation_checkpointing(true);
}

REWARD_TUNER_INLINE RolloutScope::RolloutScope(const Parts& parts, const RolloutMode& mode, CapturedUNet* captured)
    : parts_(parts), copy_before_(parts.copy_in_use), captured_before_(parts.captured_in_use) {
  if (!mode.dtype) {
    adapters_.emplace(parts.unet, mode.merge_adapters ? AdapterMode::kMerged : AdapterMode::kApart,
                      /*in_place=*/captured != nullptr);
  } else {
    auto& copy = parts.copy;
    if (!copy) {
      copy = std::make_shared<UNet2DConditionModel>(parts.unet.config());
      copy->eval();
      for (Tensor& p : copy->parameters()) p.requires_grad_(false);
    }
    refresh(parts.unet, *copy, *mode.dtype);
    parts_.copy_in_use = copy.get();
  }
  parts_.captured_in_use = captured;
}

REWARD_TUNER_INLINE void RolloutScope::refresh(UNet2DConditionModel& unet, UNet2DConditionModel& copy,
                                               at::ScalarType dtype) {
  const torch::NoGradGuard no_grad;
  const auto to_modules = copy.modules();
  std::size_t at = 0;
  for (const auto& module : unet.modules()) {
    const auto& twin = to_modules[at++];
    const auto layer = std::dynamic_pointer_cast<AdaptableLayer>(module);
    for (auto& item : module->named_parameters(/*recurse=*/false)) {
      const Tensor value =
          layer && item.key() == "weight" ? layer->merged_weight(dtype) : item.value().detach().to(dtype);
      Tensor place = twin->named_parameters(/*recurse=*/false)[item.key()];
      Tensor data = place.data();
      place.set_data(written_in_place(value, data));  // where it was, for those who keep its address
    }
  }
}

}  // namespace reward_tuner
