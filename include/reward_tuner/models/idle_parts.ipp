// Definitions of idle_parts.hpp.
#pragma once
#include <reward_tuner/models/idle_parts.hpp>

#include <torch/types.h>

#include <algorithm>
#include <utility>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/activation_checkpoint.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void IdleParts::add(PartUse use, std::shared_ptr<const torch::nn::Module> network) {
  if (std::none_of(parts_.begin(), parts_.end(), [&](const Part& part) { return part.network == network; }))
    parts_.push_back({use, std::move(network), {}});
}

REWARD_TUNER_INLINE void IdleParts::wake(PartUse use) {
  for (Part& part : parts_)
    if (part.use == use && part.awake.empty()) wake(part);
}

REWARD_TUNER_INLINE void IdleParts::wake(Part& part) {
  const torch::NoGradGuard no_grad;
  std::vector<Tensor> weights = part.network->parameters();
  const std::vector<Tensor> buffers = part.network->buffers();
  weights.insert(weights.end(), buffers.begin(), buffers.end());
  try {
    for (Tensor& weight : weights) {
      const Tensor resting = weight.detach();
      Tensor moved = move_(resting);
      part.awake.push_back({weight, resting, 0});
      weight.set_data(moved);
      if (!weight.is_inference()) part.awake.back().version = weight._version();
    }
  } catch (...) {
    rest(part);
    throw;
  }
  ++moves_;
}

REWARD_TUNER_INLINE void IdleParts::rest() {
  for (Part& part : parts_)
    if (!part.awake.empty() && trainable_tensors(*part.network).empty()) rest(part);
}

REWARD_TUNER_INLINE void IdleParts::rest(Part& part) {
  const torch::NoGradGuard no_grad;
  for (Awake& one : part.awake) {
    // of an inference tensor nobody counts the writes
    if (one.weight.is_inference() || one.weight._version() != one.version) one.resting.copy_(one.weight);
    one.weight.set_data(one.resting);
  }
  part.awake.clear();
}

}  // namespace reward_tuner
