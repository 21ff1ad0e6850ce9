// The inception score of an evaluation's images, in the form in which evaluations take their measures.
#pragma once
#include <ATen/ops/full.h>

#include <memory>
#include <string_view>
#include <utility>

#include <reward_tuner/metrics/inception_score.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace rt_reproduce {

/// Gives every image the inception score of all images together, by the image vectors of a CLIP. A measure, not
/// something to train on.
class InceptionReward {
 public:
  using Role = reward_tuner::RewardRole;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = true;  // evaluations then hand over all their images at once
  static constexpr std::string_view kName = "inception_score";

  explicit InceptionReward(std::shared_ptr<const reward_tuner::ClipModel> clip) : clip_(std::move(clip)) {}
  reward_tuner::RewardResult score(const reward_tuner::RewardInput& input) const {
    // [B]
    return {
        at::full({input.images.size(0)}, reward_tuner::inception_score(input.images, *clip_), input.images.options()),
        {}};
  }

 private:
  std::shared_ptr<const reward_tuner::ClipModel> clip_;
};

}  // namespace rt_reproduce
