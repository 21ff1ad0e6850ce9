// Definitions of adaptable_layer.hpp.
#pragma once
#include <reward_tuner/layers/adaptable_layer.hpp>

#include <ATen/ops/empty.h>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Tensor LowRank::delta() const {
  const auto rank = down.size(0);
  auto shape = down.sizes().vec();
  shape[0] = up.size(0);
  return scale * up.reshape({-1, rank}).matmul(down.reshape({rank, -1})).reshape(shape);
}

REWARD_TUNER_INLINE AdaptableLayer::AdaptableLayer(std::vector<std::int64_t> weight_shape, bool with_bias) {
  weight = register_parameter("weight", at::empty(weight_shape));
  if (with_bias) bias = register_parameter("bias", at::empty({weight_shape[0]}));
}

REWARD_TUNER_INLINE void AdaptableLayer::attach(std::shared_ptr<const LowRank> adapter) {
  REWARD_TUNER_CHECK(!adapter || !adapter_, "[LoRA] the layer already carries an adapter; merge or detach it first");
  adapter_ = std::move(adapter);
  set_mode(AdapterMode::kApart);
}

REWARD_TUNER_INLINE void AdaptableLayer::set_mode(AdapterMode mode) {
  mode_ = mode;
  merged_ = Tensor();
  if (adapter_ && mode == AdapterMode::kMerged) merged_ = merged_weight(weight.scalar_type());
}

REWARD_TUNER_INLINE Tensor AdaptableLayer::merged_weight(at::ScalarType dtype) const {
  const torch::NoGradGuard no_grad;
  if (!adapter_ || mode_ == AdapterMode::kOff) return weight.to(dtype);
  const Tensor delta = adapter_->delta();
  return (weight.to(delta.scalar_type()) + delta).to(dtype);
}

REWARD_TUNER_INLINE const Tensor& AdaptableLayer::whole_weight() const {
  static const Tensor none;
  if (!adapter_ || mode_ == AdapterMode::kOff) return weight;
  return mode_ == AdapterMode::kMerged && !torch::GradMode::is_enabled() ? merged_ : none;
}

REWARD_TUNER_INLINE AdapterScope::AdapterScope(torch::nn::Module& root, AdapterMode mode) {
  for (const auto& module : root.modules())
    if (auto layer = std::dynamic_pointer_cast<AdaptableLayer>(module); layer && layer->adapter()) {
      const AdapterMode before = layer->mode();
      if (before != AdapterMode::kOff) layer->set_mode(mode);
      layers_.emplace_back(std::move(layer), before);
    }
}

REWARD_TUNER_INLINE AdapterScope::~AdapterScope() {
  for (const auto& [layer, before] : layers_) layer->set_mode(before);
}

}  // namespace reward_tuner
