// The detector on rendered images: plain, blurred and noisy, with rounded corners; and on images without objects.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <examples/pretrain/shape_images.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/shapes/shape_detector.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace shape_detector_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using torch::Tensor;

/// Gaussian blur of every plane of x [C,H,W], edges repeated; plain loops.
Tensor blur(const Tensor& x, double sigma) {
  Tensor rows = at::empty_like(x), out = at::empty_like(x);
  const auto pass = [&](const Tensor& from, Tensor& to, bool across) {
    const auto a = from.accessor<float, 3>();
    auto b = to.accessor<float, 3>();
    const auto last_row = a.size(1) - 1, last_column = a.size(2) - 1;
    for (std::int64_t c = 0; c < a.size(0); ++c)
      for (std::int64_t row = 0; row <= last_row; ++row)
        for (std::int64_t column = 0; column <= last_column; ++column) {
          double sum = 0, weights = 0;
          for (std::int64_t d = -4; d <= 4; ++d) {
            const double weight = std::exp(-static_cast<double>(d * d) / (2 * sigma * sigma));
            const auto r = std::clamp<std::int64_t>(row + (across ? 0 : d), 0, last_row);
            sum += weight * a[c][r][std::clamp<std::int64_t>(column + (across ? d : 0), 0, last_column)];
            weights += weight;
          }
          b[c][row][column] = static_cast<float>(sum / weights);
        }
  };
  pass(x, rows, true);
  pass(rows, out, false);
  return out;
}

struct Accuracy {
  double color = 0, shape = 0, count = 0;
};

/// Shares of objects of right color and shape and of images with the right number of objects, over 300 images.
template <class Change>
Accuracy accuracy(std::uint64_t seed, const pretrain::SceneOptions& options, Change change) {
  Rng rng(seed);
  Accuracy result;
  double objects = 0;
  constexpr int kImages = 300;
  for (int i = 0; i < kImages; ++i) {
    const pretrain::Scene scene = pretrain::draw_scene(rng, options);
    const Tensor image = change(pretrain::render(scene), scene, rng).contiguous();
    const std::vector<DetectedObject> found = detect_shapes(image.const_data_ptr<float>(), 64, 64);
    result.count += (found.size() == scene.objects.size()) / static_cast<double>(kImages);
    objects += static_cast<double>(scene.objects.size());
    for (const auto& object : scene.objects)
      for (const DetectedObject& seen : found) {
        if (std::hypot(seen.x - object.x, seen.y - object.y) > object.radius / 2) continue;
        result.color += seen.color == object.color;
        result.shape += seen.shape == object.shape;
        break;
      }
  }
  result.color /= objects, result.shape /= objects;
  return result;
}

const auto kAsRendered = [](const pretrain::Drawing& image, const pretrain::Scene&, Rng&) { return image.image; };
const auto kBlurredAndNoisy = [](const pretrain::Drawing& image, const pretrain::Scene&, Rng& rng) {
  return blur(image.image, 0.9) + 0.05 * rng.normal({3, 64, 64});
};

}  // namespace

TEST_CASE("shape detector: at least 97% right on rendered single objects, held-out pairs too") {
  for (const bool held_out : {false, true}) {
    const Accuracy a = accuracy(11, {.two_objects = 0, .held_out_only = held_out}, kAsRendered);
    INFO("color ", a.color, " shape ", a.shape, " count ", a.count);
    CHECK(a.color >= 0.97);
    CHECK(a.shape >= 0.97);
    CHECK(a.count >= 0.97);
  }
}

TEST_CASE("shape detector: at least 93% right on blurred and noisy images") {
  const Accuracy a = accuracy(12, {.two_objects = 0}, kBlurredAndNoisy);
  INFO("color ", a.color, " shape ", a.shape, " count ", a.count);
  CHECK(a.color >= 0.93);
  CHECK(a.shape >= 0.93);
  CHECK(a.count >= 0.93);
}

TEST_CASE("shape detector: rounded corners are tolerated") {
  const Accuracy a = accuracy(
      13, {.two_objects = 0, .shaded = 0}, [](const pretrain::Drawing& image, const pretrain::Scene& scene, Rng&) {
        // blurred, then sharp again
        const Tensor share = ((blur(image.object.unsqueeze(0), 1.5) - 0.5) * 3 + 0.5).clamp(0, 1);
        const Rgb paint = kObjectColors[static_cast<std::size_t>(scene.objects[0].color)].rgb;
        const Rgb back = kBackgroundColors[static_cast<std::size_t>(scene.background)].rgb;
        const auto column = [](const Rgb& c) { return at::tensor({c.red, c.green, c.blue}).view({3, 1, 1}); };
        return column(back) + share * (column(paint) - column(back));
      });
  INFO("color ", a.color, " shape ", a.shape, " count ", a.count);
  CHECK(a.color >= 0.93);
  CHECK(a.shape >= 0.93);
}

TEST_CASE("shape detector: pairs of objects are told apart") {
  for (const bool degraded : {false, true}) {
    const pretrain::SceneOptions options{.two_objects = 1};
    const Accuracy a = degraded ? accuracy(14, options, kBlurredAndNoisy) : accuracy(14, options, kAsRendered);
    INFO("color ", a.color, " shape ", a.shape, " count ", a.count);
    CHECK(a.color >= 0.93);
    CHECK(a.shape >= 0.93);
    CHECK(a.count >= 0.93);
  }
}

TEST_CASE("shape detector: touching objects of two colors are cut by color") {
  Tensor image = at::full({3, 64, 64}, 0.05f);
  const auto fill = [&](int color, int left) {
    const Rgb c = kObjectColors[static_cast<std::size_t>(color)].rgb;
    const float values[3] = {c.red, c.green, c.blue};
    for (int i = 0; i < 3; ++i) image[i].narrow(0, 20, 20).narrow(1, left, 20).fill_(values[i]);
  };
  fill(0, 12), fill(2, 32);
  const auto found = detect_shapes(image.const_data_ptr<float>(), 64, 64);
  REQUIRE(found.size() == 2);
  CHECK(found[0].color + found[1].color == 2);
  CHECK(found[0].color != found[1].color);
  for (const DetectedObject& object : found) {
    CHECK(object.shape == 1);
    CHECK(object.area == doctest::Approx(400).epsilon(0.1));
    CHECK(object.y == doctest::Approx(30).epsilon(0.03));
  }
}

TEST_CASE("shape detector: flat and noisy images have no object, odd values do no harm, tiny images are an error") {
  Tensor flat = at::full({3, 64, 64}, 0.9f);
  CHECK(detect_shapes(flat.const_data_ptr<float>(), 64, 64).empty());
  Rng rng(15);
  const Tensor noise = (0.5 + 0.1 * rng.normal({3, 64, 64})).contiguous();
  CHECK(detect_shapes(noise.const_data_ptr<float>(), 64, 64).empty());
  flat.narrow(1, 0, 20).fill_(std::nanf(""));
  flat.narrow(1, 20, 20).fill_(1e30f);
  CHECK_NOTHROW(detect_shapes(flat.const_data_ptr<float>(), 64, 64));
  CHECK_THROWS_AS(detect_shapes(flat.const_data_ptr<float>(), 8, 64), Error);
}

}  // namespace shape_detector_test
