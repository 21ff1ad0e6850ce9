// Definitions of adaptable_layer.hpp.
#pragma once
#include <reward_tuner/layers/adaptable_layer.hpp>

#include <ATen/ops/cat.h>

#include <bit>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/new_weights.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Tensor LowRank::delta() const {
  const auto rank = down.size(0);
  auto shape = down.sizes().vec();
  shape[0] = up.size(0);
  return scale * up.reshape({-1, rank}).matmul(down.reshape({rank, -1})).reshape(shape);
}

REWARD_TUNER_INLINE LowRank stacked(const std::vector<const LowRank*>& parts) {
  REWARD_TUNER_CHECK(!parts.empty(), "[LoRA] expected at least one adapter to stack, got none");
  if (parts.size() == 1) return *parts.front();
  std::vector<Tensor> down, up;
  for (const LowRank* part : parts) {
    down.push_back(part->down);
    up.push_back(part->scale * part->up);
  }
  return {at::cat(down, 0), at::cat(up, 1), 1.0};  // [r1+r2+...,in,...], [out,r1+r2+...,...]
}

REWARD_TUNER_INLINE AdaptableLayer::AdaptableLayer(std::vector<std::int64_t> weight_shape, bool with_bias) {
  weight = register_parameter("weight", new_weight(weight_shape));
  if (with_bias) bias = register_parameter("bias", new_weight({weight_shape[0]}));
}

REWARD_TUNER_INLINE void AdaptableLayer::attach(std::shared_ptr<const Adapter> adapter) {
  adapters_.push_back(std::move(adapter));
  set_mode(mode_);  // a merged weight is computed anew
}

REWARD_TUNER_INLINE void AdaptableLayer::detach(const std::shared_ptr<const Adapter>& adapter) {
  std::erase(adapters_, adapter);
  set_mode(mode_);
}

REWARD_TUNER_INLINE void AdaptableLayer::set_mode(AdapterMode mode) {
  mode_ = AdapterMode::kApart;  // what stays if there is no memory to merge
  merged_ = Tensor();
  if (!adapters_.empty() && mode == AdapterMode::kMerged) {
    merged_ = merged_weight(weight.scalar_type());
    if (in_place_) merged_ = written_in_place(merged_, place_);
  }
  mode_ = mode;
}

REWARD_TUNER_INLINE Tensor AdaptableLayer::merged_weight(at::ScalarType dtype) const {
  const torch::NoGradGuard no_grad;
  if (parts().empty()) return weight.to(dtype);
  const Tensor delta = correction().delta();
  return (weight.to(delta.scalar_type()) + delta).to(dtype);
}

REWARD_TUNER_INLINE void AdaptableLayer::tell(CallState& state) const {
  state.reads.push_back(weight);
  if (bias.defined()) state.reads.push_back(bias);
  const auto all = parts();
  if (all.empty()) return;
  state.settings.push_back(static_cast<std::int64_t>(mode_));
  if (const Tensor& whole = whole_weight(); whole.defined()) {
    state.reads.push_back(whole);
    return;
  }
  for (const LowRank* part : all) {
    state.reads.insert(state.reads.end(), {part->down, part->up});
    state.settings.push_back(std::bit_cast<std::int64_t>(part->scale));
  }
}

REWARD_TUNER_INLINE const Tensor& AdaptableLayer::whole_weight() const {
  static const Tensor none;
  if (parts().empty()) return weight;
  return mode_ == AdapterMode::kMerged && !torch::GradMode::is_enabled() ? merged_ : none;
}

REWARD_TUNER_INLINE std::vector<const LowRank*> AdaptableLayer::parts() const {
  std::vector<const LowRank*> all;
  for (const auto& adapter : adapters_)
    if (const LowRank* part = mode_ == AdapterMode::kReference ? adapter->in_reference() : &adapter->factors)
      all.push_back(part);
  return all;
}

REWARD_TUNER_INLINE AdapterScope::AdapterScope(torch::nn::Module& root, AdapterMode mode, bool in_place) {
  for (const auto& module : root.modules())
    if (auto layer = std::dynamic_pointer_cast<AdaptableLayer>(module); layer && !layer->adapters().empty()) {
      for (const auto& adapter : layer->adapters()) trains_ = trains_ || !adapter->frozen;
      if (in_place) layer->keep_merged_in_place();
      layers_.emplace_back(layer, layer->mode());
    }
  try {
    for (const auto& [layer, before] : layers_)
      if (before != AdapterMode::kReference) layer->set_mode(mode);
  } catch (...) {
    restore();
    throw;
  }
}

REWARD_TUNER_INLINE void AdapterScope::restore() noexcept {
  for (const auto& [layer, before] : layers_) try {
      layer->set_mode(before);
    } catch (...) {  // no memory to merge again: apart is the same function
    }
}

}  // namespace reward_tuner
