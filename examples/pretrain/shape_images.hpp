// Draws captioned images of one or two colored shapes: the data set on which the tiny Stable Diffusion is
// pretrained.
#pragma once
#include <ATen/ops/empty.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <reward_tuner/shapes/shape_geometry.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner::pretrain {

using namespace reward_tuner::shapes;

/// Side of the images in pixels.
inline constexpr int kImageSide = 64;

/// One drawn object: what it is and where it lies.
struct DrawnObject {
  int shape = 0;       ///< index into kShapeNames
  int color = 0;       ///< index into kObjectColors
  double x = 32;       ///< center, pixels from the left
  double y = 32;       ///< center, pixels from the top
  double radius = 12;  ///< pixels
  double angle = 0;    ///< radians, clockwise

  ObjectSize size() const {
    return radius <= 11 ? ObjectSize::kSmall : radius >= 17 ? ObjectSize::kLarge : ObjectSize::kUnnamed;
  }
};

/// The ground truth of an image.
struct Scene {
  std::vector<DrawnObject> objects;     ///< one or two
  Relation relation = Relation::kNone;  ///< how objects[0] lies to objects[1], never kAnd
  int background = 0;                   ///< index into kBackgroundColors
  double shade = 0;  ///< relative change of the background's brightness from the center to the far side, 0 is plain
  double shade_angle = 0;  ///< direction in which it brightens, radians
};

/// How scenes are drawn at random.
struct SceneOptions {
  double two_objects = 0.3;  ///< share of images with two objects
  double shaded = 0.3;       ///< share of images with a shaded background
  /// draw only single objects of the held-out pairs, for evaluation; otherwise those pairs never occur
  bool held_out_only = false;
};

namespace detail {

inline DrawnObject draw_object(Rng& rng, const SceneOptions& options, double smallest, double largest) {
  DrawnObject object;
  if (options.held_out_only) {
    const auto& pair =
        kHeldOutPairs[static_cast<std::size_t>(rng.integer(0, static_cast<std::int64_t>(kHeldOutPairs.size()) - 1))];
    std::tie(object.shape, object.color) = pair;
  } else {
    do {
      object.shape = static_cast<int>(rng.integer(0, static_cast<std::int64_t>(kShapeNames.size()) - 1));
      object.color = static_cast<int>(rng.integer(0, static_cast<std::int64_t>(kObjectColors.size()) - 1));
    } while (is_held_out(object.shape, object.color));
  }
  object.radius = smallest + (largest - smallest) * rng.uniform();
  object.angle = (2 * rng.uniform() - 1) * 0.2;
  return object;
}

/// A coordinate at which a shape of this radius stays inside [low, high].
inline double place(Rng& rng, double radius, double low, double high) {
  const double reach = kShapeReach * radius;
  return low + reach + (high - low - 2 * reach) * rng.uniform();
}

}  // namespace detail

/// A random scene. Single objects lie anywhere inside the image, so most are off its center; two objects lie clearly
/// left and right of each other or above and below, and differ in shape and color.
inline Scene draw_scene(Rng& rng, const SceneOptions& options = {}) {
  Scene scene;
  scene.background = static_cast<int>(rng.integer(0, static_cast<std::int64_t>(kBackgroundColors.size()) - 1));
  if (rng.uniform() < options.shaded) {
    scene.shade = 0.25;
    scene.shade_angle = 2 * std::numbers::pi * rng.uniform();
  }
  const double low = 1, high = kImageSide - 1, middle = kImageSide / 2.0;
  if (options.held_out_only || rng.uniform() >= options.two_objects) {
    DrawnObject object = detail::draw_object(rng, options, 8, 21);
    object.x = detail::place(rng, object.radius, low, high);
    object.y = detail::place(rng, object.radius, low, high);
    scene.objects = {object};
    return scene;
  }
  DrawnObject first = detail::draw_object(rng, options, 8, 12), second = detail::draw_object(rng, options, 8, 12);
  while (second.shape == first.shape || second.color == first.color) second = detail::draw_object(rng, options, 8, 12);
  const bool across = rng.uniform() < 0.5, first_leads = rng.uniform() < 0.5;
  for (DrawnObject* object : {&first, &second}) {
    const bool leads = (object == &first) == first_leads;  // leads: the left or the upper one
    const double along =
        leads ? detail::place(rng, object->radius, low, middle) : detail::place(rng, object->radius, middle, high);
    const double aside = detail::place(rng, object->radius, low, high);
    object->x = across ? along : aside;
    object->y = across ? aside : along;
  }
  scene.relation = across ? (first_leads ? Relation::kLeftOf : Relation::kRightOf)
                          : (first_leads ? Relation::kAbove : Relation::kBelow);
  scene.objects = {first, second};
  return scene;
}

/// The same relation told from the other object.
constexpr Relation mirrored(Relation relation) {
  switch (relation) {
    case Relation::kLeftOf:
      return Relation::kRightOf;
    case Relation::kRightOf:
      return Relation::kLeftOf;
    case Relation::kAbove:
      return Relation::kBelow;
    case Relation::kBelow:
      return Relation::kAbove;
    case Relation::kNone:
    case Relation::kAnd:
      break;
  }
  return relation;
}

/// A true description of the scene; size, background, relation and the order of the objects are mentioned at random.
inline Caption describe(const Scene& scene, Rng& rng) {
  Caption caption;
  for (const DrawnObject& object : scene.objects)
    caption.objects.push_back({object.shape, object.color, rng.uniform() < 0.5 ? object.size() : ObjectSize::kUnnamed});
  caption.relation = scene.relation;
  if (scene.objects.size() == 2) {
    if (rng.uniform() < 0.3) caption.relation = Relation::kAnd;
    if (rng.uniform() < 0.5) {
      std::swap(caption.objects[0], caption.objects[1]);
      caption.relation = mirrored(caption.relation);
    }
  }
  if (rng.uniform() < 0.4) caption.background = scene.background;
  return caption;
}

/// The description in words; one image in ten of a single object opens with "an image of".
inline std::string caption_text(const Caption& caption, Rng& rng) {
  const bool opened = caption.objects.size() == 1 && rng.uniform() < 0.1;
  return (opened ? "a picture of " : "") + compose_caption(caption);
}

/// A finished image and where its objects are.
struct Drawing {
  torch::Tensor image;   ///< float [3,64,64] in [0,1]
  torch::Tensor object;  ///< float [64,64] in [0,1]: the share of each pixel that objects cover
};

/// Draws the scene, 16 samples a pixel. Later objects lie over earlier ones. Pure: the same scene gives the same
/// image.
inline Drawing render(const Scene& scene) {
  constexpr int kSide = kImageSide, kSamples = 4;
  Drawing drawing{at::empty({3, kSide, kSide}), at::empty({kSide, kSide})};
  auto image = drawing.image.accessor<float, 3>();
  auto covered = drawing.object.accessor<float, 2>();
  const Rgb back = kBackgroundColors[static_cast<std::size_t>(scene.background)].rgb;
  for (int row = 0; row < kSide; ++row)
    for (int column = 0; column < kSide; ++column) {
      const double u = (column + 0.5) / kSide * 2 - 1, v = (row + 0.5) / kSide * 2 - 1;
      const auto light =
          static_cast<float>(1 + scene.shade * (u * std::cos(scene.shade_angle) + v * std::sin(scene.shade_angle)));
      image[0][row][column] = std::min(1.0f, back.red * light);
      image[1][row][column] = std::min(1.0f, back.green * light);
      image[2][row][column] = std::min(1.0f, back.blue * light);
      covered[row][column] = 0;
    }
  for (const DrawnObject& object : scene.objects) {
    const Rgb paint = kObjectColors[static_cast<std::size_t>(object.color)].rgb;
    const double reach = kShapeReach * object.radius, cosine = std::cos(object.angle), sine = std::sin(object.angle);
    const auto first = [&](double center) {
      return std::clamp(static_cast<int>(std::floor(center - reach)), 0, kSide - 1);
    };
    const auto last = [&](double center) {
      return std::clamp(static_cast<int>(std::ceil(center + reach)), 0, kSide - 1);
    };
    for (int row = first(object.y); row <= last(object.y); ++row)
      for (int column = first(object.x); column <= last(object.x); ++column) {
        int hits = 0;
        for (int sample = 0; sample < kSamples * kSamples; ++sample) {
          const double dx = (column + (sample % kSamples + 0.5) / kSamples - object.x) / object.radius;
          const double dy = (row + (sample / kSamples + 0.5) / kSamples - object.y) / object.radius;
          hits += inside_shape(object.shape, cosine * dx + sine * dy, cosine * dy - sine * dx);
        }
        const float share = static_cast<float>(hits) / (kSamples * kSamples);
        image[0][row][column] += share * (paint.red - image[0][row][column]);
        image[1][row][column] += share * (paint.green - image[1][row][column]);
        image[2][row][column] += share * (paint.blue - image[2][row][column]);
        covered[row][column] += share * (1 - covered[row][column]);
      }
  }
  return drawing;
}

/// Many scenes with their images, kept as bytes.
struct ImageSet {
  std::vector<Scene> scenes;
  torch::Tensor images;   ///< uint8 [N,3,64,64]
  torch::Tensor objects;  ///< uint8 [N,64,64], 255 where an object covers the whole pixel

  /// Images in [-1,1], float [n,3,64,64], of int64 [n] indices.
  torch::Tensor signed_images(const torch::Tensor& indices) const {
    return images.index_select(0, indices).to(at::kFloat).div_(127.5).sub_(1.0);
  }
};

/// `count` images of a seed; the same arguments give the same bytes.
inline ImageSet draw_images(std::int64_t count, Rng rng, const SceneOptions& options = {}) {
  ImageSet set;
  set.images = at::empty({count, 3, kImageSide, kImageSide}, at::kByte);
  set.objects = at::empty({count, kImageSide, kImageSide}, at::kByte);
  set.scenes.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    set.scenes.push_back(draw_scene(rng, options));
    const Drawing drawing = render(set.scenes.back());
    set.images.select(0, i).copy_(drawing.image.mul(255).round());
    set.objects.select(0, i).copy_(drawing.object.mul(255).round());
  }
  return set;
}

}  // namespace reward_tuner::pretrain
