// Definitions of adapted_network.hpp.
#pragma once
#include <reward_tuner/models/adapted_network.hpp>

#include <algorithm>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE AdaptedNetwork::AdaptedNetwork(const torch::nn::Module& network) {
  const auto wanted = [](const Tensor& t) { return t.requires_grad(); };
  const auto weights = network.parameters();
  weights_ = std::any_of(weights.begin(), weights.end(), wanted);
  auto layers = std::make_shared<std::map<std::string, std::shared_ptr<const AdaptableLayer>>>();
  for (const auto& item : network.named_modules("", /*include_self=*/false)) {
    const auto layer = std::dynamic_pointer_cast<const AdaptableLayer>(item.value());
    if (!layer || layer->adapters().empty()) continue;
    layers->emplace(item.key(), layer);
    for (const auto& adapter : layer->adapters()) adapters_ = adapters_ || wanted(adapter->factors.down);
  }
  layers_ = std::move(layers);
}

REWARD_TUNER_INLINE AdapterMode AdaptedNetwork::mode() const {
  return layers_->empty() ? AdapterMode::kApart : layers_->begin()->second->mode();
}

REWARD_TUNER_INLINE SketchTraining AdaptedNetwork::training() const {
  SketchTraining out{.weights = weights_, .adapters = adapters_};
  if (layers_->empty()) return out;
  out.rank = [layers = layers_](const std::string& path, bool) {
    const auto found = layers->find(path);
    if (found == layers->end()) return std::int64_t{0};
    std::int64_t sum = 0;
    for (const auto& adapter : found->second->adapters()) {
      const LowRank* part =
          found->second->mode() == AdapterMode::kReference ? adapter->in_reference() : &adapter->factors;
      if (part != nullptr) sum += part->down.size(0);
    }
    return sum;
  };
  return out;
}

}  // namespace reward_tuner
