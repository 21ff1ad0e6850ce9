// The checks every reward shares: the images that come in and the [B] values that go out.
#pragma once
#include <torch/types.h>

#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Throws unless `images` is a floating point [B,3,H,W] tensor with at least 2x2 pixels. `name` heads the message.
inline void check_reward_images(const Tensor& images, std::string_view name) {
  REWARD_TUNER_CHECK(images.defined(), "[", name, "] expected images [B,3,H,W], got an undefined tensor");
  REWARD_TUNER_CHECK(images.dim() == 4 && images.size(1) == 3 && images.size(2) >= 2 && images.size(3) >= 2, "[", name,
                     "] expected images [B,3,H,W] of at least 2x2 pixels, got shape ", images.sizes());
  REWARD_TUNER_CHECK(images.is_floating_point(), "[", name, "] expected floating point images in [0,1], got dtype ",
                     images.dtype().name());
}

/// Throws unless `input` has one prompt per image. `name` heads the message.
inline void check_reward_prompts(const RewardInput& input, std::string_view name) {
  REWARD_TUNER_CHECK(static_cast<std::int64_t>(input.prompts.size()) == input.images.size(0), "[", name,
                     "] expected one prompt per image (", input.images.size(0), "), got ", input.prompts.size());
}

/// Throws unless values and components are floating point [batch] tensors. `name` is the reward's kName.
inline void check_reward_result(const RewardResult& result, std::int64_t batch, std::string_view name) {
  REWARD_TUNER_CHECK(result.values.defined(),
                     "[RewardPolicy] score expected [B] values, got an undefined tensor (reward ", name, ")");
  REWARD_TUNER_CHECK(result.values.dim() == 1 && result.values.size(0) == batch,
                     "[RewardPolicy] score expected [B] values with B = ", batch, ", got shape ", result.values.sizes(),
                     " (reward ", name, ")");
  REWARD_TUNER_CHECK(result.values.is_floating_point(),
                     "[RewardPolicy] score expected floating point [B] values, got dtype ",
                     result.values.dtype().name(), " (reward ", name, ")");
  for (const auto& [key, component] : result.components)
    REWARD_TUNER_CHECK(component.defined() && component.dim() == 1 && component.size(0) == batch,
                       "[RewardPolicy] score expected components of shape [B] with B = ", batch,
                       ", got another shape in ", key, " (reward ", name, ")");
}

}  // namespace reward_tuner
