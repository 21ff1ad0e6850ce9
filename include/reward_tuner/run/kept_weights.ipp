// Definitions of kept_weights.hpp.
#pragma once
#include <reward_tuner/run/kept_weights.hpp>

#include <vector>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/scoped_values.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void KeptWeights::keep(const TrainedWeights& weights, const Tensor& of_them) {
  tensors.clear();
  for (const auto& [name, value] : weights.named) tensors[name] = value.detach().clone();
  images = of_them;
}

REWARD_TUNER_INLINE void KeptWeights::keep(const KeptWeights& saved, const TrainedWeights& weights) {
  tensors.clear();
  for (const auto& [name, value] : weights.named)
    tensors[name] = saved.tensors.at(name).to(value.options().requires_grad(false)).clone();
  images = saved.images.defined() ? saved.images.clone() : Tensor();
}

REWARD_TUNER_INLINE void KeptWeights::save(const TrainedWeights& weights, const std::filesystem::path& run) const {
  std::vector<Tensor> kept;
  for (const auto& item : weights.named) kept.push_back(tensors.at(item.first));
  const ScopedValues scope(weights.tensors(), kept);
  weights.save(run);
}

}  // namespace reward_tuner
