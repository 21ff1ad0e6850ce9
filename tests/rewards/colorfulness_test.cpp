// Colorfulness: plain loops, gradient, grey images.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/colorfulness.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace colorfulness_test {
namespace {

using namespace reward_tuner;
using namespace reward_checks;

/// Hasler and Suesstrunk's M of one image [3,H,W], in two passes.
double slow(const Tensor& image) {
  const Tensor plain = image.contiguous();
  const auto x = plain.accessor<double, 3>();
  const auto at = [&](std::int64_t c, std::int64_t h, std::int64_t w) {
    return std::fmin(1.0, std::fmax(0.0, x[c][h][w]));
  };
  double moments[2][2] = {};
  const double n = static_cast<double>(x.size(1) * x.size(2));
  for (int pass = 0; pass < 2; ++pass)
    for (std::int64_t h = 0; h < x.size(1); ++h)
      for (std::int64_t w = 0; w < x.size(2); ++w) {
        const double opponent[2] = {at(0, h, w) - at(1, h, w), (at(0, h, w) + at(1, h, w)) / 2 - at(2, h, w)};
        for (int k = 0; k < 2; ++k)
          moments[pass][k] += (pass == 0 ? opponent[k] : std::pow(opponent[k] - moments[0][k], 2)) / n;
      }
  return std::sqrt(moments[1][0] + moments[1][1]) + 0.3 * std::hypot(moments[0][0], moments[0][1]);
}

}  // namespace

TEST_CASE("colorfulness: the component is the formula as printed, the value within its floor") {
  const Tensor images = (random_images(4, 6, 9, 1) - 0.5) * 1.8 + 0.5;
  const RewardResult result = ColorfulnessReward().score({images, {}});
  for (std::int64_t i = 0; i < 4; ++i) {
    const double want = slow(images[i]);
    CHECK(result.components.at("colorfulness")[i].item<double>() == doctest::Approx(want).epsilon(1e-12));
    CHECK(result.values[i].item<double>() <= want);
    CHECK(result.values[i].item<double>() > want - 1.3e-4);
  }
  // Pure red: rg = 1, yb = 0.5 everywhere, no spread.
  const Tensor red = at::zeros({1, 3, 4, 4}, at::kDouble);
  red.select(1, 0).fill_(1);
  CHECK(colorfulness(red).item<double>() == doctest::Approx(0.3 * std::sqrt(1.25)).epsilon(1e-12));
}

TEST_CASE("colorfulness: the gradient equals central differences, also near grey") {
  const auto f = [](const Tensor& x) { return ColorfulnessReward().score({x, {}}).values.sum(); };
  const Tensor images = random_images(2, 5, 6, 2);
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
  const Tensor nearly_grey = 0.5 + 1e-3 * (images - 0.5);
  CHECK(relative_error(gradient(f, nearly_grey), central_differences(f, nearly_grey)) < 1e-5);
}

TEST_CASE("colorfulness: grey images have value 0 and a finite gradient") {
  const auto f = [](const Tensor& x) { return ColorfulnessReward().score({x, {}}).values.sum(); };
  const Tensor flat = at::full({1, 3, 4, 4}, 0.5, at::kDouble),
               grey = random_images(2, 4, 4, 3).narrow(1, 0, 1).expand({2, 3, 4, 4}).contiguous();
  for (const Tensor& x : {flat, grey}) {
    CHECK(std::abs(f(x).item<double>()) < 1e-12);
    CHECK(gradient(f, x).isfinite().all().item<bool>());
  }
}

TEST_CASE("colorfulness: options out of range are named") {
  CHECK_THROWS_WITH_AS(ColorfulnessReward({.leak = -0.5}), doctest::Contains("leak must be in [0, 1], got -0.5"),
                       Error);
  CHECK_THROWS_WITH_AS(ColorfulnessReward({.floor = 0}), doctest::Contains("floor must be above 0"), Error);
}

}  // namespace colorfulness_test
