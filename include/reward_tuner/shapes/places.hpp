// The places reward: do the two objects that the caption names lie as it says?
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/per_image.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/shapes/image_loop.hpp>
#include <reward_tuner/shapes/shape_detector.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes {

/// How an image of some pixels' shorter side fits a caption of two objects and a direction, in [0,1]: the smaller of
/// the objects' confidences, times 1 where they are apart in the direction by a quarter of that side or more, 0 where
/// by as much in the opposite one, 1/2 where not at all, and in proportion between. 0 without one of the objects.
inline double judge_places(const Caption& caption, const std::vector<DetectedObject>& found, int shorter_side) {
  REWARD_TUNER_CHECK(names_direction(caption.relation),
                     "[PlacesReward] expected a caption that says left of, right of, above or below, got '",
                     compose_caption(caption), "'");
  const MatchedObjects matched = match_objects(caption, found);
  if (std::ranges::min(matched.detections) < 0) return 0;
  const auto object = [&](std::size_t i) { return found[static_cast<std::size_t>(matched.detections[i])]; };
  const double quarters = detail::way_apart(caption.relation, object(0), object(1)) / (shorter_side / 4.0);
  return std::ranges::min(matched.confidences) * std::clamp((1 + quarters) / 2, 0.0, 1.0);
}

/// values = judge_places(caption, detect_shapes(image)) in [0,1]; a black box without gradient. Unlike ShapeReward,
/// objects in wrong places earn nothing, and nothing is taken off for extra objects. Images [B,3,H,W], H and W at least
/// 16, clamped to [0,1]; prompts in the grammar of shape_vocabulary.hpp with a direction. Cost: 1 to 2 ms an image of
/// 64 x 64 on one CPU core; images are copied to the CPU.
/// Errors: not one prompt an image; a prompt outside the grammar or without a direction.
class PlacesReward {
 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "places";

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "PlacesReward");
    check_reward_prompts(input, "PlacesReward");
    const at::NoGradGuard no_grad;
    std::vector<double> values;
    detail::for_each_image(input.images, [&](std::int64_t i, const float* rgb, int height, int width) {
      values.push_back(judge_places(parse_caption(input.prompts[static_cast<std::size_t>(i)]),
                                    detect_shapes(rgb, height, width), std::min(height, width)));
    });
    return {per_image(values, input.images), {}};  // [B]
  }
};
static_assert(RewardPolicy<PlacesReward>);

}  // namespace reward_tuner::shapes
