// Standardized: constants measured and applied, gradient, traits.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>

#include <cmath>
#include <limits>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/standardized.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

#include <tests/rewards/later_checks.hpp>
#include <tests/rewards/reward_checks.hpp>

namespace standardized_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("standardized: measured constants give mean 0 and deviation 1 on the measured values") {
  const Tensor images = random_images(6, 8, 8, 1);
  const Tensor values = SymmetryReward().score({images, {}}).values;
  double mean = 0, square = 0;
  for (std::int64_t i = 0; i < 6; ++i) mean += values[i].item<double>() / 6;
  for (std::int64_t i = 0; i < 6; ++i) square += std::pow(values[i].item<double>() - mean, 2) / 5;
  const RewardMoments moments = reward_moments(values);
  CHECK(moments.mean == doctest::Approx(mean).epsilon(1e-12));
  CHECK(moments.deviation == doctest::Approx(std::sqrt(square)).epsilon(1e-12));
  const auto reward = standardized(SymmetryReward(), moments);
  static_assert(RewardPolicy<decltype(reward)>);
  const RewardResult result = reward.score({images, {}});
  CHECK(std::abs(result.values.mean().item<double>()) < 1e-12);
  CHECK(result.values.std().item<double>() == doctest::Approx(1).epsilon(1e-12));
  CHECK(result.components.at("symmetry").equal(values));
  CHECK(result.components.contains("symmetry_error"));
  // The same constants serve other images: nothing is measured in score().
  const Tensor other = random_images(1, 8, 8, 2);
  CHECK(reward.score({other, {}}).values.item<double>() ==
        doctest::Approx((SymmetryReward().score({other, {}}).values.item<double>() - mean) / std::sqrt(square))
            .epsilon(1e-12));
}

TEST_CASE("standardized: the gradient equals central differences") {
  const Tensor images = random_images(2, 6, 6, 3);
  const auto reward = standardized(SymmetryReward(), -0.4, 0.05);
  const auto f = [&](const Tensor& x) { return reward.score({x, {}}).values.sum(); };
  CHECK(relative_error(gradient(f, images), central_differences(f, images)) < 1e-6);
}

TEST_CASE("standardized: a component of the reward's own name stays, a black box stays one, a CLIP is passed on") {
  const Tensor images = random_images(2, 8, 8, 4);
  CHECK(standardized(JpegErrorReward(), 0, 1).score({images, {}}).components.at("jpeg_error").min().item<double>() > 0);
  const auto box = standardized(black_box([](const Tensor& x) { return x.mean({1, 2, 3}); }), 0.5, 0.1);
  static_assert(!decltype(box)::kDifferentiable);
  CHECK_FALSE(box.score({images.clone().requires_grad_(), {}}).values.requires_grad());
  auto text = standardized(ClipScoreReward(), 0.2, 0.1);
  CHECK(text.needs_clip());
  text.bind_clip(tiny_clip(1));
  CHECK_FALSE(text.needs_clip());
}

TEST_CASE("standardized: an answer that comes later is asked at once and standardized when it is fetched") {
  const Later later{[](const Tensor& x) { return x.pow(2).mean({1, 2, 3}); }};
  check_later(standardized(later, 0.3, 0.1), {random_images(3, 4, 4, 6), {}}, *later.asked);
  CHECK_FALSE(scores_later(standardized(SymmetryReward(), 0, 1)));
}

TEST_CASE("standardized: constants and values that make no sense are named") {
  CHECK_THROWS_WITH_AS(standardized(SymmetryReward(), 0, 0),
                       doctest::Contains("deviation must be finite and above 0, got 0"), Error);
  CHECK_THROWS_WITH_AS(standardized(SymmetryReward(), std::numeric_limits<double>::infinity(), 1),
                       doctest::Contains("mean must be finite"), Error);
  CHECK_THROWS_WITH_AS(reward_moments(at::full({1}, 0.5)), doctest::Contains("at least two values to measure, got 1"),
                       Error);
  CHECK_THROWS_WITH_AS(reward_moments(at::full({3}, 0.5)),
                       doctest::Contains("expected values that differ, got 3 times 0.5"), Error);
  CHECK_THROWS_WITH_AS(reward_moments(at::full({3}, std::numeric_limits<double>::quiet_NaN())),
                       doctest::Contains("finite"), Error);
}

}  // namespace standardized_test
