// The compression error: values against plain loops, gradients of all three roundings against finite differences, and
// what each rounding trains.
#include <doctest/doctest.h>

#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/weighted_sum.hpp>

#include <tests/rewards/jpeg_reference.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace jpeg_error_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;
using namespace jpeg_reference;

double only(const Tensor& values) { return values.item<double>(); }

/// The error after `steps` steps of plain gradient descent on the images, by rate * N * gradient (with `exact`, rate
/// 0.5 is one step to the stored image).
double after_descent(const Tensor& images, JpegRounding rounding, double rate, int steps) {
  Tensor x = images.clone();
  const double numbers = static_cast<double>(images[0].numel());
  for (int i = 0; i < steps; ++i)
    x = (x - rate * numbers * gradient([&](const Tensor& y) { return jpeg_error(y, 50, rounding).sum(); }, x))
            .clamp(0, 1);
  return only(jpeg_error(x).mean());
}

}  // namespace

TEST_CASE("jpeg error: values equal plain loops, also of images that leave [0,1], and the component keeps its sign") {
  const Tensor images = (drawings(3, 20, 35, 1) - 0.5) * 1.5 + 0.5;  // [3,3,20,35]
  REQUIRE((images > 1).any().item<bool>());
  for (const int quality : {10, 50, 85}) {
    const RewardResult less = JpegErrorReward({.quality = quality}).score({images, {}});
    const RewardResult more = JpegErrorReward({.quality = quality, .incompressible = true}).score({images, {}});
    for (std::int64_t i = 0; i < 3; ++i) {
      const Tensor clamped = images[i].clamp(0, 1);
      const double want = only((clamped - slow_round_trip(clamped, quality, whole).clamp(0, 1)).pow(2).mean());
      CHECK(only(less.values[i]) == doctest::Approx(-want).epsilon(1e-10));
      CHECK(only(more.values[i]) == doctest::Approx(want).epsilon(1e-10));
      CHECK(only(less.components.at("jpeg_error")[i]) == doctest::Approx(want).epsilon(1e-10));
      CHECK(only(more.components.at("jpeg_error")[i]) == doctest::Approx(want).epsilon(1e-10));
    }
  }
  const RewardResult half = JpegErrorReward().score({images.to(at::kHalf), {}});
  CHECK((half.values.scalar_type() == at::kFloat));
  // In a sum the plain name is the error itself, not the negated value.
  const RewardResult sum = weighted_sum(weighted(2.0, JpegErrorReward())).score({images, {}});
  CHECK(only(sum.components.at("jpeg_error").min()) > 0);
  CHECK(sum.components.size() == 1);
}

TEST_CASE("jpeg error: the default gradient is the true one: central differences") {
  const Tensor images = drawings(2, 10, 18, 2);
  double worst = 0;
  for (const int quality : {20, 50, 90})
    for (const bool incompressible : {false, true}) {
      const auto f = [&](const Tensor& x) {
        return JpegErrorReward({.quality = quality, .incompressible = incompressible}).score({x, {}}).values.sum();
      };
      const double error = relative_error(gradient(f, images), central_differences(f, images));
      worst = std::max(worst, error);
      CHECK(error < 1e-6);
    }
  MESSAGE("worst relative error ", worst);
}

TEST_CASE("jpeg error: straight-through and cubic gradients are those of the smooth codecs") {
  // E = mean D^2, D = I - J. With a smooth codec S in place of J in the derivative, dE = 2/N (Id - S')^T D, where
  // clamped pixels of J pass nothing.
  const Tensor images = drawings(1, 10, 18, 3);  // [1,3,10,18]
  const auto cubic = [](double x) { return whole(x) + std::pow(x - whole(x), 3); };
  const auto identity = [](double x) { return x; };
  double worst = 0;
  for (const int quality : {20, 50, 90}) {
    CAPTURE(quality);
    const Tensor raw = slow_round_trip(images[0], quality, whole);
    // [3,10,18]
    const Tensor inside = raw.gt(0).logical_and(raw.lt(1)).to(at::kDouble), d = images[0] - raw.clamp(0, 1);
    const auto check = [&](JpegRounding rounding, auto smooth) {
      const auto g = [&](const Tensor& x) {
        return (2 * d * (x - inside * slow_round_trip(x, quality, smooth))).mean();
      };
      const Tensor have = gradient([&](const Tensor& x) { return jpeg_error(x, quality, rounding).sum(); }, images)[0];
      const double error = relative_error(have, central_differences(g, images[0], 1e-5));
      worst = std::max(worst, error);
      CHECK(error < 1e-6);
    };
    check(JpegRounding::kStraightThrough, identity);
    check(JpegRounding::kCubic, cubic);
  }
  MESSAGE("worst relative error ", worst);
}

TEST_CASE("jpeg error: straight-through leaves no gradient along luminance, the others do") {
  const Tensor images = drawings(2, 32, 32, 4);
  const Tensor stored = jpeg_round_trip(images, 50);
  REQUIRE(stored.gt(0).logical_and(stored.lt(1)).all().item<bool>());  // the last clamp plays no part
  const auto luminance_share = [&](JpegRounding rounding) {
    // [2,3,32,32]
    const Tensor slope = gradient([&](const Tensor& x) { return jpeg_error(x, 50, rounding).sum(); }, images);
    // all channels moved alike change Y alone
    return only(slope.sum(1).norm() /
                gradient([&](const Tensor& x) { return jpeg_error(x).sum(); }, images).sum(1).norm());
  };
  const double straight = luminance_share(JpegRounding::kStraightThrough),
               cubic = luminance_share(JpegRounding::kCubic);
  MESSAGE("gradient along luminance relative to the true one: straight-through ", straight, ", cubic ", cubic);
  CHECK(straight < 1e-12);
  CHECK(cubic > 0.1);
}

TEST_CASE(
    "jpeg error: by gradient descent the exact rounding lowers the true error fastest, and straight-through hardly at "
    "all") {
  for (const std::uint64_t seed : {5, 6, 7}) {
    const Tensor images = drawings(4, 32, 32, seed);
    const double before = only(jpeg_error(images).mean());
    const double exact = after_descent(images, JpegRounding::kExact, 0.1, 20),
                 cubic = after_descent(images, JpegRounding::kCubic, 0.1, 20);
    double straight = before;  // has the best of five rates and more steps
    for (const double rate : {0.02, 0.05, 0.1, 0.2, 0.5})
      straight = std::min(straight, after_descent(images, JpegRounding::kStraightThrough, rate, 60));
    MESSAGE("seed ", seed, ": before ", before, ", after 20 steps exact ", exact, ", cubic ", cubic,
            "; straight-through at its best ", straight);
    CHECK(exact < 0.001 * before);
    CHECK(exact < cubic);
    CHECK(cubic < 0.1 * before);
    CHECK(straight > 0.5 * before);
  }
}

TEST_CASE("jpeg error: outside [0,1] the gradient leaks by its share") {
  const Tensor images = (drawings(1, 16, 16, 8) - 0.5) * 1.6 + 0.5;
  const Tensor saturated = (images < 0).logical_or(images > 1);
  REQUIRE(saturated.sum().item<std::int64_t>() > 5);
  const auto f = [](const Tensor& x) { return JpegErrorReward().score({x, {}}).values.sum(); };
  const Tensor slope = gradient(f, images), at_clamped = gradient(f, images.clamp(0, 1));
  CHECK(relative_error(slope.masked_select(saturated), 0.05 * at_clamped.masked_select(saturated)) < 1e-12);
  CHECK(relative_error(slope.masked_select(~saturated), at_clamped.masked_select(~saturated)) < 1e-12);
}

TEST_CASE("jpeg error: options and images out of range are named") {
  CHECK_THROWS_WITH_AS(JpegErrorReward({.quality = 0}), doctest::Contains("quality must be in [1, 100], got 0"), Error);
  CHECK_THROWS_WITH_AS(JpegErrorReward({.leak = -1}), doctest::Contains("leak"), Error);
  CHECK_THROWS_WITH_AS(JpegErrorReward().score({random_images(1, 4, 4, 1)[0], {}}), doctest::Contains("[B,3,H,W]"),
                       Error);
}

}  // namespace jpeg_error_test
