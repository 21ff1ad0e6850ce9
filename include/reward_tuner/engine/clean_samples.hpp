// Finished samples before they are decoded and scored.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

/// B clean samples with their prompts, groups and seeds for rewards. Empty lists are unknown.
struct CleanSamples {
  Tensor clean;                           ///< [B,C,h,w]
  std::vector<std::string> prompts;       ///< [B]
  std::vector<std::uint64_t> seeds;       ///< [B] of their noise
  std::vector<std::int64_t> groups = {};  ///< [B] equal for images of one prompt of a round

  std::int64_t size() const { return clean.size(0); }
  /// What the reward is given for `images` [b,3,H,W], decoded from `latents`, of samples begin .. begin+b-1.
  RewardInput input(const Tensor& images, const Tensor& latents, std::int64_t begin) const {
    const auto part = [&](const auto& list) {
      return list.empty() ? list
                          : std::decay_t<decltype(list)>(list.begin() + begin, list.begin() + begin + images.size(0));
    };
    return {.images = images,
            .prompts = part(prompts),
            .group_ids = groups.empty() ? Tensor() : beside(images, at::tensor(part(groups), at::kLong)),
            .latents = latents,
            .seeds = part(seeds)};
  }
};

}  // namespace reward_tuner
