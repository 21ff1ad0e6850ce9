// The procedural images: what the caption says is what the pixels show, and the seed decides everything.
#include <ATen/ops/abs.h>
#include <ATen/ops/equal.h>
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <examples/pretrain/shape_images.hpp>

namespace shape_images_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using namespace reward_tuner::pretrain;

Rgb pixel(const torch::Tensor& image, double x, double y) {
  const auto at = [&](int c) { return image[c][static_cast<int>(y)][static_cast<int>(x)].item<float>(); };
  return {at(0), at(1), at(2)};
}
bool close(const Rgb& a, const Rgb& b) { return std::hypot(a.red - b.red, a.green - b.green, a.blue - b.blue) < 0.02; }

TEST_CASE("Images: captions parse back to the truth and held-out pairs never appear") {
  Rng rng(5);
  int pairs = 0, off_center = 0, singles = 0;
  for (int i = 0; i < 2000; ++i) {
    const Scene scene = draw_scene(rng);
    const Caption caption = describe(scene, rng);
    const std::string text = caption_text(caption, rng);
    REQUIRE((parse_caption(text) == caption));
    REQUIRE(caption.objects.size() == scene.objects.size());
    for (const CaptionObject& said : caption.objects) {
      bool found = false;
      for (const DrawnObject& object : scene.objects)
        found |= object.shape == said.shape && object.color == said.color &&
                 (said.size == ObjectSize::kUnnamed || said.size == object.size());
      CHECK(found);
    }
    for (const DrawnObject& object : scene.objects) {
      CHECK_FALSE(is_held_out(object.shape, object.color));
      CHECK(object.x - object.radius >= 0);
      CHECK(object.x + object.radius <= 64);
    }
    if (caption.background) CHECK(*caption.background == scene.background);
    if (scene.objects.size() == 2) {
      ++pairs;
      const DrawnObject &a = scene.objects[0], &b = scene.objects[1];
      CHECK((scene.relation == Relation::kLeftOf) ==
            (a.x < b.x && a.x < 32 && b.x > 32 && scene.relation == Relation::kLeftOf));
      if (scene.relation == Relation::kLeftOf) CHECK(a.x < b.x);
      if (scene.relation == Relation::kRightOf) CHECK(a.x > b.x);
      if (scene.relation == Relation::kAbove) CHECK(a.y < b.y);
      if (scene.relation == Relation::kBelow) CHECK(a.y > b.y);
      CHECK(std::hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius - 1);
    } else {
      ++singles;
      off_center += std::abs(scene.objects[0].x - 32) > 4;
    }
  }
  CHECK(pairs > 500);
  CHECK(pairs < 700);
  CHECK(off_center > singles / 2);
}

TEST_CASE("Images: the center of an object shows its color, a corner the background, a ring has a hole") {
  for (int shape = 0; shape < 6; ++shape) {
    Scene scene;
    scene.objects = {{shape, 2, 30, 34, 14, 0.1}};
    scene.background = 1;
    const Drawing image = render(scene);
    const double x = shape == 4 ? 30 + 14 * 0.76 : 30;
    CHECK(close(pixel(image.image, x, 34), kObjectColors[2].rgb));
    CHECK(close(pixel(image.image, 1, 1), kBackgroundColors[1].rgb));
    CHECK(close(pixel(image.image, 30, 34), shape == 4 ? kBackgroundColors[1].rgb : kObjectColors[2].rgb));
    CHECK(image.object[34][static_cast<int>(x)].item<float>() == 1.0f);
    CHECK(image.object[1][1].item<float>() == 0.0f);
  }
}

TEST_CASE("Images: a centered upright shape is its own mirror image") {
  for (int shape = 0; shape < 6; ++shape) {
    Scene scene;
    scene.objects = {{shape, 3, 32, 32, 15, 0}};
    const torch::Tensor image = render(scene).image;
    CHECK((image - image.flip(2)).abs().max().item<float>() < 1e-6);
  }
}

TEST_CASE("Images: area of a circle, and a shaded background changes only across") {
  Scene scene;
  scene.objects = {{0, 0, 32, 32, 16, 0}};
  CHECK(render(scene).object.sum().item<double>() == doctest::Approx(std::numbers::pi * 256).epsilon(0.01));
  scene.shade = 0.25;
  scene.background = 1;
  const torch::Tensor image = render(scene).image;
  CHECK(image[0][1][60].item<float>() > image[0][1][3].item<float>() + 0.1f);
  CHECK(image[0][1][3].item<float>() == doctest::Approx(image[0][62][3].item<float>()));
}

TEST_CASE("Images: a seed decides every byte; held-out sets show held-out pairs only") {
  const ImageSet a = draw_images(20, Rng(3)), b = draw_images(20, Rng(3)), c = draw_images(20, Rng(4));
  CHECK(at::equal(a.images, b.images));
  CHECK(at::equal(a.objects, b.objects));
  CHECK_FALSE(at::equal(a.images, c.images));
  const ImageSet held = draw_images(30, Rng(3), {.held_out_only = true});
  for (const Scene& scene : held.scenes) {
    REQUIRE(scene.objects.size() == 1);
    CHECK(is_held_out(scene.objects[0].shape, scene.objects[0].color));
  }
}

}  // namespace
}  // namespace shape_images_test
