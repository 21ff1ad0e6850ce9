// The symmetry reward against plain loops, its invariances, and its gradient against finite differences.
#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace symmetry_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

/// Both errors of one image [3,H,W] in double loops; clamps first.
struct Errors {
  double literal = 0, spatial = 0;
};
Errors slow_errors(const Tensor& image, double floor) {
  const auto x = image.accessor<double, 3>();
  const auto at = [&](std::int64_t c, std::int64_t h, std::int64_t w) {
    return std::fmin(1.0, std::fmax(0.0, x[c][h][w]));
  };
  const std::int64_t height = x.size(1), width = x.size(2);
  const double plane = static_cast<double>(height * width), n = 3 * plane;
  double difference = 0, sum = 0, squares = 0, variances = 0;
  for (std::int64_t c = 0; c < 3; ++c) {
    double mean = 0, square = 0;
    for (std::int64_t h = 0; h < height; ++h)
      for (std::int64_t w = 0; w < width; ++w) {
        difference += std::abs(at(c, h, w) - at(c, h, width - 1 - w)) / n;
        mean += at(c, h, w) / plane;
        sum += at(c, h, w) / n;
      }
    for (std::int64_t h = 0; h < height; ++h)
      for (std::int64_t w = 0; w < width; ++w) square += std::pow(at(c, h, w) - mean, 2) / (plane - 1);
    variances += square / 3;
  }
  for (std::int64_t c = 0; c < 3; ++c)
    for (std::int64_t h = 0; h < height; ++h)
      for (std::int64_t w = 0; w < width; ++w) squares += std::pow(at(c, h, w) - sum, 2) / (n - 1);
  return {difference / (std::sqrt(squares) + 1e-6), difference / std::sqrt(std::fmax(floor, variances))};
}

double only(const Tensor& values) { return values.item<double>(); }

}  // namespace

TEST_CASE("symmetry: both errors equal plain loops, with images that leave [0,1]") {
  const Tensor images = (random_images(5, 7, 10, 1) - 0.5) * 1.8 + 0.5;  // [5,3,7,10], about a tenth outside
  REQUIRE((images > 1).any().item<bool>());
  const RewardInput input{images, std::vector<std::string>(5)};
  const RewardResult spatial = SymmetryReward().score(input);
  const RewardResult literal = SymmetryReward({.deviation = SymmetryDeviation::kLiteral}).score(input);
  for (std::int64_t i = 0; i < 5; ++i) {
    const Errors want = slow_errors(images[i], 1e-4);
    CHECK(only(spatial.values[i]) == doctest::Approx(-want.spatial).epsilon(1e-12));
    CHECK(only(literal.values[i]) == doctest::Approx(-want.literal).epsilon(1e-12));
    CHECK(only(spatial.components.at("symmetry_error")[i]) == doctest::Approx(want.literal).epsilon(1e-12));
    CHECK(only(literal.components.at("symmetry_error")[i]) == doctest::Approx(want.literal).epsilon(1e-12));
  }
  CHECK_FALSE(spatial.components.at("symmetry_error").requires_grad());
}

TEST_CASE("symmetry: Gaussian noise gives 2/sqrt(pi), a mirrored image 0, and scale and offset change nothing") {
  Rng rng(3);
  const Tensor noise = 0.5 + 0.1 * rng.normal({2, 3, 200, 200}, at::kDouble);
  const double want = 2 / std::sqrt(std::numbers::pi);
  CHECK(only(literal_symmetry_error(noise)[0]) == doctest::Approx(want).epsilon(0.01));
  CHECK(only(spatial_symmetry_error(noise, 1e-4)[1]) == doctest::Approx(want).epsilon(0.01));

  const Tensor half = random_images(2, 8, 5, 4);
  const Tensor mirrored = at::cat({half, half.flip({3})}, 3);  // [2,3,8,10]
  CHECK(SymmetryReward().score({mirrored, {"", ""}}).values.abs().max().item<double>() == 0);

  const Tensor images = random_images(3, 8, 9, 5);
  // Eq. 6 adds 1e-6 to the deviation
  CHECK(relative_error(literal_symmetry_error(0.4 * images + 0.3), literal_symmetry_error(images)) < 1e-5);
  CHECK(relative_error(spatial_symmetry_error(0.4 * images + 0.3, 1e-4), spatial_symmetry_error(images, 1e-4)) < 1e-12);
}

TEST_CASE("symmetry: the spatial error does not reward flattening, the literal one does") {
  const Tensor texture = 0.02 * (random_images(1, 8, 8, 6) - 0.5);  // asymmetric, of low contrast
  const Tensor red = at::cat({texture.narrow(1, 0, 1) + 0.95, texture.narrow(1, 1, 2) + 0.05}, 1);
  const Tensor grey = texture + 0.5;
  CHECK(only(literal_symmetry_error(red)) < 0.1 * only(literal_symmetry_error(grey)));
  CHECK(only(spatial_symmetry_error(red, 1e-12)) ==
        doctest::Approx(only(spatial_symmetry_error(grey, 1e-12))).epsilon(1e-9));
}

TEST_CASE("symmetry: gradients equal central differences for both deviations") {
  for (const auto deviation : {SymmetryDeviation::kSpatial, SymmetryDeviation::kLiteral}) {
    CAPTURE(static_cast<int>(deviation));
    const Tensor weights = random_images(1, 2, 2, 9).flatten().narrow(0, 0, 2);  // [2]
    const auto objective = [&](const SymmetryOptions& options) {
      return [=](const Tensor& x) { return (SymmetryReward(options).score({x, {"", ""}}).values * weights).sum(); };
    };
    const Tensor inside = random_images(2, 6, 7, 10);
    const auto f = objective({.deviation = deviation});
    CHECK(relative_error(gradient(f, inside), central_differences(f, inside)) < 1e-6);

    const Tensor outside = (inside - 0.5) * 1.8 + 0.5;
    const Tensor saturated = (outside < 0).logical_or(outside > 1);
    REQUIRE(saturated.sum().item<std::int64_t>() > 5);
    const auto dead = objective({.deviation = deviation, .leak = 0});
    CHECK(relative_error(gradient(dead, outside), central_differences(dead, outside)) < 1e-6);

    // With a leak the value is the same, pixels inside keep their slope, pixels outside get 5% of the slope at the
    // clamped image.
    CHECK(only(f(outside)) == only(dead(outside)));
    const Tensor leaky = gradient(f, outside), at_clamped = gradient(dead, outside.clamp(0, 1));
    CHECK(relative_error(leaky.masked_select(~saturated), central_differences(f, outside).masked_select(~saturated)) <
          1e-6);
    CHECK(relative_error(leaky.masked_select(saturated), 0.05 * at_clamped.masked_select(saturated)) < 1e-12);
  }
}

TEST_CASE("symmetry: a flat image has finite gradients") {
  for (const auto deviation : {SymmetryDeviation::kSpatial, SymmetryDeviation::kLiteral}) {
    const auto f = [&](const Tensor& x) {
      return SymmetryReward({.deviation = deviation}).score({x, {""}}).values.sum();
    };
    CHECK(gradient(f, at::full({1, 3, 4, 4}, 0.5, at::kDouble)).isfinite().all().item<bool>());
  }
}

TEST_CASE("symmetry: the text term adds the weighted CLIP score, bound early or late") {
  const auto clip = tiny_clip(1);
  const Tensor images = random_images(2, 8, 8, 11);
  const RewardInput input{images, {"a red circle", "star"}};
  SymmetryReward late({.text_weight = 0.7});
  CHECK(late.needs_clip());
  CHECK_THROWS_WITH_AS(late.score(input), doctest::Contains("text_weight 0.7 expected a CLIP"), Error);
  late.bind_clip(clip);
  CHECK_FALSE(late.needs_clip());
  const RewardResult with_text = late.score(input);
  const Tensor want = SymmetryReward().score(input).values + 0.7 * ClipScoreReward(clip).score(input).values;
  CHECK(relative_error(with_text.values, want) < 1e-14);
  CHECK(relative_error(SymmetryReward({.text_weight = 0.7}, clip).score(input).values, want) < 1e-14);
  CHECK(with_text.components.contains("clip_score"));
  const auto f = [&](const Tensor& x) { return late.score({x, input.prompts}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("symmetry: options and images out of range are named") {
  CHECK_THROWS_WITH_AS(SymmetryReward({.text_weight = -1}), doctest::Contains("text_weight"), Error);
  CHECK_THROWS_WITH_AS(SymmetryReward({.leak = 2}), doctest::Contains("leak"), Error);
  CHECK_THROWS_WITH_AS(SymmetryReward({.floor = 0}), doctest::Contains("floor"), Error);
  CHECK_THROWS_WITH_AS(SymmetryReward().score({random_images(1, 4, 4, 1)[0], {""}}), doctest::Contains("[B,3,H,W]"),
                       Error);
}

}  // namespace symmetry_test
