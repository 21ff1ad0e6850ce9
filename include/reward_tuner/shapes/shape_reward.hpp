// The shape reward: are the objects that the caption names in the image, in their colors and places?
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/metrics/sentinels.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/per_image.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/shapes/image_loop.hpp>
#include <reward_tuner/shapes/shape_detector.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes {

/// How well one image fits one caption.
struct ShapeJudgment {
  double value = 0;  ///< in [0,1]: mean confidence over the caption's objects and its relation, see judge_shapes
  double color_accuracy = 0;  ///< share of the caption's objects whose detection has the right likeliest color
  double shape_accuracy = 0;  ///< share of the caption's objects whose detection has the right likeliest shape
  /// 1 if every object has a detection and two of them lie as the caption says, if it does
  double relation_accuracy = 0;
};

namespace detail {

/// Whether `a` lies to `b` as the relation says: their centers are apart in the named direction by at least half the
/// root of the smaller area (about a radius). What lies across the direction does not count: images of "left of" may
/// be further apart in height.
inline bool relation_holds(Relation relation, const DetectedObject& a, const DetectedObject& b) {
  const double apart = std::sqrt(std::min(a.area, b.area)) / 2;
  switch (relation) {
    case Relation::kLeftOf:
      return b.x - a.x >= apart;
    case Relation::kRightOf:
      return a.x - b.x >= apart;
    case Relation::kAbove:
      return b.y - a.y >= apart;
    case Relation::kBelow:
      return a.y - b.y >= apart;
    case Relation::kNone:
    case Relation::kAnd:
      return true;
  }
  return true;
}

}  // namespace detail

/// Compares detected objects with a caption. Each caption object is given its own detection so that the sum of color
/// and shape scores is largest (objects without a detection score 0). An object's confidence is (color score + shape
/// score) / 2. The value is the mean over the objects and, where the caption has a relation of place, of the smaller
/// object confidence if the relation holds and 0 if not. Extra objects dilute it: the value is multiplied by
/// expected / found when more are found than expected. Size and background words are not judged.
inline ShapeJudgment judge_shapes(const Caption& caption, const std::vector<DetectedObject>& found) {
  const std::size_t wanted = caption.objects.size();
  REWARD_TUNER_CHECK(wanted == 1 || wanted == 2, "[ShapeReward] expected a caption of one or two objects, got ",
                     wanted);
  const auto score = [&](std::size_t object, int detection) {
    if (detection < 0) return 0.0;
    const DetectedObject& seen = found[static_cast<std::size_t>(detection)];
    const CaptionObject& asked = caption.objects[object];
    return (seen.color_scores[static_cast<std::size_t>(asked.color)] +
            seen.shape_scores[static_cast<std::size_t>(asked.shape)]) /
           2;
  };
  // Every pair of different detections is tried. Index -1 stands for "none" and comes last, so that a detection is
  // preferred on a tie.
  const int count = static_cast<int>(found.size());
  std::vector<int> choice(wanted, -1);
  double best = -1;
  const auto index = [&](int i) { return i == count ? -1 : i; };
  for (int i = 0; i <= count; ++i)
    for (int j = 0; j <= (wanted == 2 ? count : 0); ++j) {
      if (wanted == 2 && i == j && i != count) continue;
      const double sum = score(0, index(i)) + (wanted == 2 ? score(1, index(j)) : 0.0);
      if (sum <= best) continue;
      best = sum;
      choice[0] = index(i);
      if (wanted == 2) choice[1] = index(j);
    }

  ShapeJudgment result;
  double total = 0, least = 1;
  bool complete = true;
  for (std::size_t object = 0; object < wanted; ++object) {
    const double confidence = score(object, choice[object]);
    total += confidence;
    least = std::min(least, confidence);
    if (choice[object] < 0) {
      complete = false;
      continue;
    }
    const DetectedObject& seen = found[static_cast<std::size_t>(choice[object])];
    result.color_accuracy += (seen.color == caption.objects[object].color) / static_cast<double>(wanted);
    result.shape_accuracy += (seen.shape == caption.objects[object].shape) / static_cast<double>(wanted);
  }
  const bool placed = caption.relation != Relation::kNone && caption.relation != Relation::kAnd;
  const auto chosen = [&](std::size_t object) { return found[static_cast<std::size_t>(choice[object])]; };
  const bool holds = complete && (!placed || detail::relation_holds(caption.relation, chosen(0), chosen(1)));
  result.relation_accuracy = holds ? 1 : 0;
  if (placed && holds) total += least;
  result.value = total / (static_cast<double>(wanted) + (placed ? 1 : 0));
  if (found.size() > wanted) result.value *= static_cast<double>(wanted) / static_cast<double>(found.size());
  return result;
}

/// values = judge_shapes(caption, detect_shapes(image)).value in [0,1]; a black box without gradient.
/// Images [B,3,H,W], H and W at least 16, clamped to [0,1]; prompts in the grammar of shape_vocabulary.hpp.
/// Components [B]: "color_accuracy", "shape_accuracy", "relation_accuracy", "blank" (1 without any object or with a
/// spatial deviation below 0.02), "coverage" (share of the image that objects cover). Cost: 1 to 2 ms an image of 64
/// x 64 on one CPU core; images are copied to the CPU.
/// Errors: not one prompt an image; a prompt outside the grammar.
class ShapeReward {
 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "shapes";

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "ShapeReward");
    check_reward_prompts(input, "ShapeReward");
    const at::NoGradGuard no_grad;
    const Tensor images = input.images.detach().to(at::kCPU, at::kFloat).contiguous();  // [B,3,H,W]
    const Tensor flat = (spatial_deviation(images) < 0.02).to(at::kDouble);             // [B]
    const auto batch = static_cast<std::size_t>(images.size(0));
    std::vector<double> values(batch), color(batch), shape(batch), relation(batch), blank(batch), coverage(batch);
    detail::for_each_image(images, [&](std::int64_t image, const float* rgb, int height, int width) {
      const auto i = static_cast<std::size_t>(image);
      const std::vector<DetectedObject> found = detect_shapes(rgb, height, width);
      const ShapeJudgment judged = judge_shapes(parse_caption(input.prompts[i]), found);
      values[i] = judged.value;
      color[i] = judged.color_accuracy;
      shape[i] = judged.shape_accuracy;
      relation[i] = judged.relation_accuracy;
      blank[i] = found.empty() ? 1 : flat[image].item<double>();
      for (const DetectedObject& object : found) coverage[i] += object.area / (height * width);
    });
    const auto out = [&](const std::vector<double>& numbers) { return per_image(numbers, input.images); };  // [B]
    return {out(values),
            {{"color_accuracy", out(color)},
             {"shape_accuracy", out(shape)},
             {"relation_accuracy", out(relation)},
             {"blank", out(blank)},
             {"coverage", out(coverage)}}};
  }
};
static_assert(RewardPolicy<ShapeReward>);

}  // namespace reward_tuner::shapes
