// What a pipeline switches in its UNet for the length of a scope: the reference network, rollouts, checkpointing.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The untuned network for the length of a scope: adapters off, kept base weights swapped in, and an outer rollout's
/// copy of the tuned weights set aside.
class ReferenceScope {
 public:
  ReferenceScope(UNet2DConditionModel& network, const std::map<std::string, Tensor>& kept,
                 UNet2DConditionModel*& copy_in_use)
      : adapters_(network, AdapterMode::kOff), copy_in_use_(copy_in_use), before_(copy_in_use) {
    REWARD_TUNER_CHECK(adapters_.size() > 0 || !kept.empty(),
                       "[StableDiffusion] a reference network was asked for, but no LoRA is attached and no weights "
                       "were kept; attach a LoRA or call keep_reference() before full fine-tuning");
    copy_in_use_ = nullptr;
    if (kept.empty()) return;
    for (auto& item : network.named_parameters()) {
      tuned_.emplace_back(item.value(), item.value().detach());
      item.value().set_data(kept.at(item.key()));
    }
  }
  ~ReferenceScope() {
    copy_in_use_ = before_;
    for (auto& [parameter, value] : tuned_) parameter.set_data(value);
  }
  ReferenceScope(const ReferenceScope&) = delete;
  ReferenceScope& operator=(const ReferenceScope&) = delete;

 private:
  AdapterScope adapters_;
  UNet2DConditionModel*& copy_in_use_;
  UNet2DConditionModel* before_;
  std::vector<std::pair<Tensor, Tensor>> tuned_;
};

/// Activation checkpointing in a UNet for the length of a scope.
class ActivationCheckpointScope {
 public:
  explicit ActivationCheckpointScope(UNet2DConditionModel& unet)
      : unet_(unet), before_(unet.activation_checkpointing()) {
    unet_.set_activation_checkpointing(true);
  }
  ~ActivationCheckpointScope() { unet_.set_activation_checkpointing(before_); }
  ActivationCheckpointScope(const ActivationCheckpointScope&) = delete;
  ActivationCheckpointScope& operator=(const ActivationCheckpointScope&) = delete;

 private:
  UNet2DConditionModel& unet_;
  bool before_;
};

/// How calls without gradient are made for the length of a scope: adapters merged into the weights or apart, in the
/// network's dtype or by a copy of lower precision. Calls with gradient are as ever.
class RolloutScope {
 public:
  RolloutScope(UNet2DConditionModel& unet, const RolloutMode& mode, std::shared_ptr<UNet2DConditionModel>& copy,
               UNet2DConditionModel*& in_use)
      : in_use_(in_use), before_(in_use) {
    if (!mode.dtype) {
      adapters_.emplace(unet, mode.merge_adapters ? AdapterMode::kMerged : AdapterMode::kApart);
      return;
    }
    if (!copy) {
      copy = std::make_shared<UNet2DConditionModel>(unet.config());
      copy->eval();
      for (Tensor& p : copy->parameters()) p.requires_grad_(false);
    }
    refresh(unet, *copy, *mode.dtype);
    in_use_ = copy.get();
  }
  ~RolloutScope() { in_use_ = before_; }
  RolloutScope(const RolloutScope&) = delete;
  RolloutScope& operator=(const RolloutScope&) = delete;

 private:
  /// Rounds the present weights, adapters merged, into the copy.
  static void refresh(UNet2DConditionModel& unet, UNet2DConditionModel& copy, at::ScalarType dtype) {
    const torch::NoGradGuard no_grad;
    const auto to_modules = copy.modules();
    std::size_t at = 0;
    for (const auto& module : unet.modules()) {
      const auto& twin = to_modules[at++];
      const auto layer = std::dynamic_pointer_cast<AdaptableLayer>(module);
      for (auto& item : module->named_parameters(/*recurse=*/false)) {
        const Tensor value =
            layer && item.key() == "weight" ? layer->merged_weight(dtype) : item.value().detach().to(dtype);
        twin->named_parameters(/*recurse=*/false)[item.key()].set_data(value);
      }
    }
  }

  std::optional<AdapterScope> adapters_;
  UNet2DConditionModel*& in_use_;
  UNet2DConditionModel* before_;
};

}  // namespace reward_tuner
