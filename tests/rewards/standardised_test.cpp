// Standardised: constants measured and applied, gradient, traits.
#include <doctest/doctest.h>

#include <ATen/ops/full.h>

#include <cmath>
#include <limits>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/standardised.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

#include "reward_checks.hpp"

namespace standardised_test {

using namespace reward_tuner;
using namespace reward_checks;

TEST_CASE("standardised: measured constants give mean 0 and deviation 1 on the measured values") {
  const Tensor pictures = random_pictures(6, 8, 8, 1);
  const Tensor values = SymmetryReward().score({pictures, {}}).values;
  double mean = 0, square = 0;
  for (std::int64_t i = 0; i < 6; ++i) mean += values[i].item<double>() / 6;
  for (std::int64_t i = 0; i < 6; ++i) square += std::pow(values[i].item<double>() - mean, 2) / 5;
  const RewardMoments moments = reward_moments(values);
  CHECK(moments.mean == doctest::Approx(mean).epsilon(1e-12));
  CHECK(moments.deviation == doctest::Approx(std::sqrt(square)).epsilon(1e-12));
  const auto reward = standardised(SymmetryReward(), moments);
  static_assert(RewardPolicy<decltype(reward)>);
  const RewardResult result = reward.score({pictures, {}});
  CHECK(std::abs(result.values.mean().item<double>()) < 1e-12);
  CHECK(result.values.std().item<double>() == doctest::Approx(1).epsilon(1e-12));
  CHECK(result.components.at("symmetry").equal(values));
  CHECK(result.components.contains("symmetry_error"));
  // The same constants serve other pictures: nothing is measured in score().
  const Tensor other = random_pictures(1, 8, 8, 2);
  CHECK(reward.score({other, {}}).values.item<double>() ==
        doctest::Approx((SymmetryReward().score({other, {}}).values.item<double>() - mean) / std::sqrt(square))
            .epsilon(1e-12));
}

TEST_CASE("standardised: the gradient equals central differences") {
  const Tensor pictures = random_pictures(2, 6, 6, 3);
  const auto reward = standardised(SymmetryReward(), -0.4, 0.05);
  const auto f = [&](const Tensor& x) { return reward.score({x, {}}).values.sum(); };
  CHECK(relative_error(gradient(f, pictures), central_differences(f, pictures)) < 1e-6);
}

TEST_CASE("standardised: a component of the reward's own name stays, a black box stays one, a CLIP is passed on") {
  const Tensor pictures = random_pictures(2, 8, 8, 4);
  CHECK(standardised(JpegErrorReward(), 0, 1).score({pictures, {}}).components.at("jpeg_error").min().item<double>() >
        0);
  const auto box = standardised(black_box([](const Tensor& x) { return x.mean({1, 2, 3}); }), 0.5, 0.1);
  static_assert(!decltype(box)::kDifferentiable);
  CHECK_FALSE(box.score({pictures.clone().requires_grad_(), {}}).values.requires_grad());
  auto text = standardised(ClipScoreReward(), 0.2, 0.1);
  CHECK(text.needs_clip());
  text.bind_clip(tiny_clip(1));
  CHECK_FALSE(text.needs_clip());
}

TEST_CASE("standardised: constants and values that make no sense are named") {
  CHECK_THROWS_WITH_AS(standardised(SymmetryReward(), 0, 0),
                       doctest::Contains("deviation must be finite and above 0, found 0"), Error);
  CHECK_THROWS_WITH_AS(standardised(SymmetryReward(), std::numeric_limits<double>::infinity(), 1),
                       doctest::Contains("mean must be finite"), Error);
  CHECK_THROWS_WITH_AS(reward_moments(at::full({1}, 0.5)), doctest::Contains("at least two values to measure, found 1"),
                       Error);
  CHECK_THROWS_WITH_AS(reward_moments(at::full({3}, 0.5)),
                       doctest::Contains("wanted values that differ, found 3 times 0.5"), Error);
  CHECK_THROWS_WITH_AS(reward_moments(at::full({3}, std::numeric_limits<double>::quiet_NaN())),
                       doctest::Contains("finite"), Error);
}

}  // namespace standardised_test
