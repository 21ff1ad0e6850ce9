// What a pipeline switches in its networks for the length of a scope: the reference network, rollouts, checkpointing.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/models/captured_unet.hpp>
#include <reward_tuner/models/prompt_encoder.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The untuned networks for the length of a scope: trained adapters of UNet and text encoders off or as kept, frozen
/// ones on, the UNet's kept base weights swapped in, and an outer rollout's copy of the tuned weights set aside.
class ReferenceScope {
 public:
  ReferenceScope(UNet2DConditionModel& network, const std::vector<TextTower>& text_encoders,
                 const std::map<std::string, Tensor>& kept, UNet2DConditionModel*& copy_in_use);
  ~ReferenceScope();
  ReferenceScope(const ReferenceScope&) = delete;
  ReferenceScope& operator=(const ReferenceScope&) = delete;

 private:
  std::list<AdapterScope> adapters_;  // of the UNet, then of the text encoders
  UNet2DConditionModel*& copy_in_use_;
  UNet2DConditionModel* before_;
  std::vector<std::pair<Tensor, Tensor>> tuned_;
};

/// Activation checkpointing in a UNet for the length of a scope.
class ActivationCheckpointScope {
 public:
  explicit ActivationCheckpointScope(UNet2DConditionModel& unet);
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
  /// What a pipeline switches for it.
  struct Parts {
    UNet2DConditionModel& unet;
    std::shared_ptr<UNet2DConditionModel>& copy;  ///< of lower precision, made when it is asked for
    UNet2DConditionModel*& copy_in_use;
    CapturedUNet*& captured_in_use;
  };
  /// `captured`: what records calls, nullptr for none.
  RolloutScope(const Parts& parts, const RolloutMode& mode, CapturedUNet* captured);
  ~RolloutScope() {
    parts_.copy_in_use = copy_before_;
    parts_.captured_in_use = captured_before_;
  }
  RolloutScope(const RolloutScope&) = delete;
  RolloutScope& operator=(const RolloutScope&) = delete;

 private:
  /// Rounds the present weights, adapters merged, into the copy.
  static void refresh(UNet2DConditionModel& unet, UNet2DConditionModel& copy, at::ScalarType dtype);

  Parts parts_;
  UNet2DConditionModel* copy_before_;
  CapturedUNet* captured_before_;
  std::optional<AdapterScope> adapters_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/network_scopes.ipp>
#endif
