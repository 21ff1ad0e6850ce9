// The losses of the direct methods: values, slopes and options.
#include <doctest/doctest.h>

#include <ATen/ops/tensor.h>
#include <torch/autograd.h>

#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/objectives/direct_gradient.hpp>

TEST_CASE("losses are -r, max(target - r, 0) and |target - r|, times the scale") {
  using namespace reward_tuner;
  const Tensor r = at::tensor({-1.0, 1.5, 2.5}, at::kDouble).requires_grad_();  // [B]
  const auto check = [&](DirectGradientOptions options, std::vector<double> values, std::vector<double> slopes) {
    const Tensor loss = DirectGradient(options).losses(r);
    CHECK(at::allclose(loss, at::tensor(values, at::kDouble)));
    CHECK(at::allclose(torch::autograd::grad({loss.sum()}, {r})[0], at::tensor(slopes, at::kDouble)));
  };
  check({.scale = 0.5}, {0.5, -0.75, -1.25}, {-0.5, -0.5, -0.5});
  // beyond the target nothing is pushed
  check({.scale = 2.0, .loss = RewardLoss::kHinge, .target = 2.0}, {6.0, 1.0, 0.0}, {-2.0, -2.0, 0.0});
  // beyond the target it is pulled back
  check({.loss = RewardLoss::kDistance, .target = 2.0}, {3.0, 0.5, 0.5}, {-1.0, -1.0, 1.0});
}

TEST_CASE("DirectGradient's bad options are named errors") {
  using namespace reward_tuner;
  CHECK_THROWS_WITH_AS(DirectGradient({.scale = 0}), "[DirectGradient] scale must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(DirectGradient({.target = 2}), doctest::Contains("target 2 cannot be combined with the loss -r"),
                       Error);
}
