// Brightness: plain loops, gradient, signs.
#include <doctest/doctest.h>

#include <ATen/ops/ones.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/brightness.hpp>

#include <tests/rewards/reward_checks.hpp>

namespace brightness_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("brightness: mean luma by plain loops, clamped, with its sign") {
  const Tensor images = (random_images(3, 5, 7, 1) - 0.5) * 1.8 + 0.5;
  REQUIRE((images > 1).any().item<bool>());
  const RewardResult bright = BrightnessReward().score({images, {}}),
                     dark = BrightnessReward({.darker = true}).score({images, {}});
  for (std::int64_t i = 0; i < 3; ++i) {
    const Tensor one = images[i].contiguous();
    const auto x = one.accessor<double, 3>();
    double sum = 0;
    for (std::int64_t h = 0; h < 5; ++h)
      for (std::int64_t w = 0; w < 7; ++w)
        for (std::int64_t c = 0; c < 3; ++c)
          sum += (c == 0 ? 0.299 : c == 1 ? 0.587 : 0.114) * std::fmin(1, std::fmax(0, x[c][h][w]));
    CHECK(bright.values[i].item<double>() == doctest::Approx(sum / 35).epsilon(1e-12));
    CHECK(dark.values[i].item<double>() == doctest::Approx(-sum / 35).epsilon(1e-12));
    CHECK(dark.components.at("brightness")[i].item<double>() == doctest::Approx(sum / 35).epsilon(1e-12));
  }
  CHECK(brightness(at::ones({1, 3, 2, 2}, at::kDouble)).item<double>() == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("brightness: the gradient equals central differences, and leaks outside [0,1]") {
  const Tensor inside = random_images(2, 5, 6, 2);
  for (const bool darker : {false, true}) {
    const auto f = [&](const Tensor& x) { return BrightnessReward({.darker = darker}).score({x, {}}).values.sum(); };
    CHECK(relative_error(gradient(f, inside), central_differences(f, inside)) < 1e-6);
    CHECK(relative_error(gradient(f, inside + 1), 0.05 * gradient(f, inside)) < 1e-12);
  }
}

TEST_CASE("brightness: a leak out of range is named") {
  CHECK_THROWS_WITH_AS(BrightnessReward({.leak = 1.5}), doctest::Contains("leak must be in [0, 1], got 1.5"), Error);
}

}  // namespace brightness_test
