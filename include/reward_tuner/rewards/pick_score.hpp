// PickScore: the scaled cosine of image and prompt in a CLIP that was trained on people's choices between images.
#pragma once
#include <torch/types.h>

#include <memory>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/clip_vectors.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Options of PickScoreReward.
struct PickScoreOptions {
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};
REWARD_TUNER_FIELDS(PickScoreOptions, leak);

/// values = exp(logit_scale) * cos(CLIP(image), CLIP(prompt)) (Kirstain et al. 2023); also reported as "pick_score".
/// About 18 to 24 with the published weights (yuvalkirstain/PickScore_v1, a ViT-H-14 in transformers' layout); other
/// programs often divide by 26.
/// Gradient: all of it reaches the images, with options.leak outside [0,1]; prompts carry none.
/// Errors: no CLIP, a leak outside [0,1], not one prompt per image. A pipeline's own CLIP has other weights, so none is
/// bound later.
/// Example: `PickScoreReward(ClipModel::load("PickScore_v1"))`.
class PickScoreReward {
 public:
  using Role = RewardRole;
  using Options = PickScoreOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "pick_score";

  explicit PickScoreReward(std::shared_ptr<const ClipModel> clip, PickScoreOptions options = {})
      : clip_(std::move(clip)), options_(options) {
    check_leak("PickScoreReward", options_.leak);
    REWARD_TUNER_CHECK(clip_ != nullptr, "[PickScoreReward] expected a CLIP with PickScore's weights, got none");
  }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "PickScoreReward");
    check_reward_prompts(input, "PickScoreReward");
    const Tensor cosine = clip_cosines(input, clip_, clip_->preprocessor(), options_.leak);  // [B]
    const Tensor values = clip_->scale().detach() * cosine;                                  // [B]
    return {values, {{"pick_score", values.detach()}}};
  }

 private:
  std::shared_ptr<const ClipModel> clip_;
  PickScoreOptions options_;
};
static_assert(RewardPolicy<PickScoreReward>);

}  // namespace reward_tuner
