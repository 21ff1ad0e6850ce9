// What the calls of a pipeline cost in arithmetic, and what an update's calls added up to.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>

#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/models/network_flops.hpp>

namespace reward_tuner {

/// Multiplications and additions of an update's calls of UNet, VAE and text encoders, as they were made. Networks of
/// rewards are not counted.
struct FlopCount {
  std::int64_t forward = 0;  ///< rollouts, their graphs included, decoding and prompts
  /// forwards of the training: trained steps and prompts evaluated again, the untuned network beside them, a
  /// regularizer's rows
  std::int64_t replayed = 0;
  std::int64_t backward = 0;  ///< backward passes, blocks that a checkpoint runs again included

  std::int64_t total() const { return forward + replayed + backward; }
  void add(const FlopCount& other) {
    forward += other.forward;
    replayed += other.replayed;
    backward += other.backward;
  }
};

/// What each kind of call costs as it would be made now: in the present scopes, with a graph where gradients are
/// enabled. Optional member of a pipeline: `PipelineFlops flops()`. An empty function's calls are not counted.
struct PipelineFlops {
  std::function<CallFlops(const Tensor& latents, const Conditioning& conditioning)> predict = {};
  std::function<CallFlops(const Tensor& latents)> decode = {};
  std::function<CallFlops(const Tensor& images)> encode_images = {};
  std::function<CallFlops(std::int64_t prompts)> encode = {};
};

}  // namespace reward_tuner
