// The checks every reward shares: the pictures that come in and the [B] values that go out.
#pragma once
#include <torch/types.h>

#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Throws unless `images` is a floating point [B,3,H,W] tensor with at least 2x2 pixels. `name` heads the message.
inline void check_reward_images(const Tensor& images, std::string_view name) {
  REWARD_TUNER_CHECK(images.defined(), "[", name, "] wanted pictures [B,3,H,W], found an undefined tensor");
  REWARD_TUNER_CHECK(images.dim() == 4 && images.size(1) == 3 && images.size(2) >= 2 && images.size(3) >= 2, "[", name,
                     "] wanted pictures [B,3,H,W] of at least 2x2 pixels, found shape ", images.sizes());
  REWARD_TUNER_CHECK(images.is_floating_point(), "[", name, "] wanted floating point pictures in [0,1], found dtype ",
                     images.dtype().name());
}

/// Throws unless `input` has one prompt a picture. `name` heads the message.
inline void check_reward_prompts(const RewardInput& input, std::string_view name) {
  REWARD_TUNER_CHECK(static_cast<std::int64_t>(input.prompts.size()) == input.images.size(0), "[", name,
                     "] wanted one prompt a picture (", input.images.size(0), "), found ", input.prompts.size());
}

/// Throws unless values and components are floating point [batch] tensors. `name` is the reward's kName.
inline void check_reward_result(const RewardResult& result, std::int64_t batch, std::string_view name) {
  REWARD_TUNER_CHECK(result.values.defined(),
                     "[RewardPolicy] score wanted [B] values, found an undefined tensor (reward ", name, ")");
  REWARD_TUNER_CHECK(result.values.dim() == 1 && result.values.size(0) == batch,
                     "[RewardPolicy] score wanted [B] values with B = ", batch, ", found shape ", result.values.sizes(),
                     " (reward ", name, ")");
  REWARD_TUNER_CHECK(result.values.is_floating_point(),
                     "[RewardPolicy] score wanted floating point [B] values, found dtype ",
                     result.values.dtype().name(), " (reward ", name, ")");
  for (const auto& [key, component] : result.components)
    REWARD_TUNER_CHECK(component.defined() && component.dim() == 1 && component.size(0) == batch,
                       "[RewardPolicy] score wanted components of shape [B] with B = ", batch,
                       ", found another shape in ", key, " (reward ", name, ")");
}

}  // namespace reward_tuner
