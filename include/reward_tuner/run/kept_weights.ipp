// Definitions of kept_weights.hpp.
#pragma once
#include <reward_tuner/run/kept_weights.hpp>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

inline std::map<std::string, Tensor> copies(const TrainedWeights& weights) {
  std::map<std::string, Tensor> out;
  for (const auto& [name, value] : weights.named) out[name] = value.detach().clone();
  return out;
}

}  // namespace detail

REWARD_TUNER_INLINE void KeptWeights::keep(const TrainedWeights& weights, const Tensor& of_them) {
  tensors = detail::copies(weights);
  images = of_them;
}

REWARD_TUNER_INLINE void KeptWeights::keep(const KeptWeights& saved, const TrainedWeights& weights) {
  tensors.clear();
  for (const auto& [name, value] : weights.named)
    tensors[name] = saved.tensors.at(name).to(value.options().requires_grad(false)).clone();
  images = saved.images.defined() ? saved.images.clone() : Tensor();
}

REWARD_TUNER_INLINE void KeptWeights::save(const TrainedWeights& weights, const std::filesystem::path& run) const {
  const torch::NoGradGuard no_grad;
  const std::map<std::string, Tensor> trained = detail::copies(weights);
  const auto become = [&](const std::map<std::string, Tensor>& other) {
    for (const auto& [name, value] : weights.named) Tensor(value).copy_(other.at(name));  // the network's own storage
  };
  become(tensors);
  try {
    weights.save(run);
  } catch (...) {
    become(trained);
    throw;
  }
  become(trained);
}

}  // namespace reward_tuner
