// The composition reward: the detector's confidence in each object that the caption names.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
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
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes {

/// How much of a caption's composition is in one image.
struct CompositionJudgment {
  std::vector<double> confidences;  ///< d(o), one per object of the caption, in its order
  /// share of the objects that have a detection of their own whose likeliest color and shape are theirs
  double found = 0;
};

/// The confidence d(o) of every object of a caption, LSRL paper Eq. 13. An object's class is its (color, shape) pair;
/// a detection's confidence for it is color score x shape score; d(o) is the largest over the detections, 0 without
/// any. Where the caption names a class n times, its objects get the n largest (0 where there are fewer detections), so
/// that two red circles need two detections. Size, place and background words are not judged, nor are extra objects.
inline CompositionJudgment judge_composition(const Caption& caption, const std::vector<DetectedObject>& seen) {
  REWARD_TUNER_CHECK(!caption.objects.empty(), "[CompositionReward] expected a caption with objects, got none");
  const auto same = [](const CaptionObject& a, const CaptionObject& b) {
    return a.color == b.color && a.shape == b.shape;
  };
  CompositionJudgment result;
  for (auto object = caption.objects.begin(); object != caption.objects.end(); ++object) {
    const auto earlier = static_cast<std::size_t>(
        std::count_if(caption.objects.begin(), object, [&](const CaptionObject& o) { return same(o, *object); }));
    std::vector<double> confidences;
    std::size_t matches = 0;
    for (const DetectedObject& detection : seen) {
      confidences.push_back(detection.color_scores[static_cast<std::size_t>(object->color)] *
                            detection.shape_scores[static_cast<std::size_t>(object->shape)]);
      matches += detection.color == object->color && detection.shape == object->shape;
    }
    std::sort(confidences.begin(), confidences.end(), std::greater<>());
    result.confidences.push_back(earlier < confidences.size() ? confidences[earlier] : 0);
    if (earlier < matches) result.found += 1.0 / static_cast<double>(caption.objects.size());
  }
  return result;
}

/// Composition reward, LSRL paper Eq. 13: values = 1/|o| sum over the caption's objects o of d(o), in [0,1], as
/// judge_composition gives d by the shape detector; a black box without gradient. Unlike ShapeReward, half-right
/// objects earn next to nothing (a red square is no red circle), and nothing is taken off for further objects or wrong
/// places. Images [B,3,H,W], H and W at least 16, clamped to [0,1]; prompts in the grammar of shape_vocabulary.hpp.
/// Components [B]: "object_confidence" (the value), "least_confidence" (the smallest d(o)), "objects_found" (share of
/// the objects found with likeliest color and shape right), "all_objects" (1 if all are: its mean is the share of such
/// images). Cost: 1 to 2 ms an image of 64 x 64 on one CPU core; images are copied to the CPU. Errors: not one
/// prompt an image; a prompt outside the grammar.
class CompositionReward {
 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "composition";

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "CompositionReward");
    check_reward_prompts(input, "CompositionReward");
    const at::NoGradGuard no_grad;
    std::vector<double> mean, least, found, all;
    detail::for_each_image(input.images, [&](std::int64_t i, const float* rgb, int height, int width) {
      const CompositionJudgment judged = judge_composition(parse_caption(input.prompts[static_cast<std::size_t>(i)]),
                                                           detect_shapes(rgb, height, width));
      double sum = 0;
      for (const double confidence : judged.confidences) sum += confidence;
      mean.push_back(sum / static_cast<double>(judged.confidences.size()));
      least.push_back(*std::min_element(judged.confidences.begin(), judged.confidences.end()));
      found.push_back(judged.found);
      all.push_back(judged.found > 1 - 1e-9);
    });
    const auto out = [&](const std::vector<double>& numbers) { return per_image(numbers, input.images); };  // [B]
    return {out(mean),
            {{"object_confidence", out(mean)},
             {"least_confidence", out(least)},
             {"objects_found", out(found)},
             {"all_objects", out(all)}}};
  }
};

static_assert(RewardPolicy<CompositionReward>);

}  // namespace reward_tuner::shapes
