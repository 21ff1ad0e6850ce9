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

/// How far `a` lies from `b` in the direction that the relation names, in pixels between their centers, below 0 in the
/// opposite one; 0 where it names none.
inline double way_apart(Relation relation, const DetectedObject& a, const DetectedObject& b) {
  switch (relation) {
    case Relation::kLeftOf:
      return b.x - a.x;
    case Relation::kRightOf:
      return a.x - b.x;
    case Relation::kAbove:
      return b.y - a.y;
    case Relation::kBelow:
      return a.y - b.y;
    case Relation::kNone:
    case Relation::kAnd:
      return 0;
  }
  return 0;
}

/// Whether `a` lies to `b` as the relation says: apart in the named direction by at least half the root of the smaller
/// area (about a radius). What lies across the direction does not count: images of "left of" may be further apart in
/// height.
inline bool relation_holds(Relation relation, const DetectedObject& a, const DetectedObject& b) {
  return !names_direction(relation) || way_apart(relation, a, b) >= std::sqrt(std::min(a.area, b.area)) / 2;
}

}  // namespace detail

/// Which detections of an image are a caption's objects.
struct MatchedObjects {
  std::vector<int> detections;      ///< index of each object's own detection, -1: it has none
  std::vector<double> confidences;  ///< (color score + shape score) / 2 of that detection, 0 without one
};

/// Gives each of a caption's one or two objects a detection of its own so that the sum of confidences is largest.
inline MatchedObjects match_objects(const Caption& caption, const std::vector<DetectedObject>& found) {
  const std::size_t wanted = caption.objects.size();
  REWARD_TUNER_CHECK(wanted == 1 || wanted == 2, "[Caption] expected one or two objects, got ", wanted);
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
  MatchedObjects result{std::vector<int>(wanted, -1), std::vector<double>(wanted, 0.0)};
  double best = -1;
  const auto index = [&](int i) { return i == count ? -1 : i; };
  for (int i = 0; i <= count; ++i)
    for (int j = 0; j <= (wanted == 2 ? count : 0); ++j) {
      if (wanted == 2 && i == j && i != count) continue;
      const double sum = score(0, index(i)) + (wanted == 2 ? score(1, index(j)) : 0.0);
      if (sum <= best) continue;
      best = sum;
      result.detections[0] = index(i);
      if (wanted == 2) result.detections[1] = index(j);
    }
  for (std::size_t object = 0; object < wanted; ++object)
    result.confidences[object] = score(object, result.detections[object]);
  return result;
}

/// Compares detected objects with a caption, by match_objects. The value is the mean over the objects' confidences and,
/// where the caption has a relation of place, of the smaller of them if the relation holds and 0 if not. Extra objects
/// dilute it: the value is multiplied by expected / found when more are found than expected. Size and background words
/// are not judged.
inline ShapeJudgment judge_shapes(const Caption& caption, const std::vector<DetectedObject>& found) {
  const std::size_t wanted = caption.objects.size();
  const MatchedObjects matched = match_objects(caption, found);
  ShapeJudgment result;
  double total = 0, least = 1;
  bool complete = true;
  for (std::size_t object = 0; object < wanted; ++object) {
    const double confidence = matched.confidences[object];
    total += confidence;
    least = std::min(least, confidence);
    if (matched.detections[object] < 0) {
      complete = false;
      continue;
    }
    const DetectedObject& seen = found[static_cast<std::size_t>(matched.detections[object])];
    result.color_accuracy += (seen.color == caption.objects[object].color) / static_cast<double>(wanted);
    result.shape_accuracy += (seen.shape == caption.objects[object].shape) / static_cast<double>(wanted);
  }
  const bool placed = names_direction(caption.relation);
  const auto chosen = [&](std::size_t object) { return found[static_cast<std::size_t>(matched.detections[object])]; };
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
