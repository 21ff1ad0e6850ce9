// A gradient that is multiplied on its way.
#include <doctest/doctest.h>

#include <reward_tuner/layers/scaled_gradient.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <torch/autograd.h>

using namespace reward_tuner;

TEST_CASE("scaled_gradient gives the same values and a multiplied gradient, and nothing where it has no effect") {
  Rng rng(1);
  const Tensor x = rng.normal({3, 4}, at::kDouble).requires_grad_(), weight = rng.normal({3, 4}, at::kDouble);
  const Tensor y = scaled_gradient(x, 8);
  CHECK(at::equal(x, y));
  torch::autograd::backward({(y.sin() * weight).sum()}, {});
  CHECK(at::equal(x.grad(), 8 * x.detach().cos() * weight));
  CHECK(scaled_gradient(x, 1).is_same(x));
  CHECK(scaled_gradient(weight, 8).is_same(weight));
  CHECK_FALSE(scaled_gradient(Tensor(), 8).defined());
  const torch::NoGradGuard no_grad;
  CHECK(scaled_gradient(x, 8).is_same(x));
}

TEST_CASE("small cotangents survive half precision between two factors, and are 0 without") {
  const auto through = [](double factor) {
    const Tensor x = at::ones({4}).requires_grad_();
    const Tensor y = scaled_gradient((scaled_gradient(x, 1 / factor).to(at::kHalf) * 3).to(at::kFloat), factor);
    return torch::autograd::grad({y}, {x}, {at::full({4}, 1e-9)})[0];
  };
  CHECK(at::equal(through(1), at::zeros({4})));
  CHECK(at::allclose(through(0x1p20), at::full({4}, 3e-9), 1e-3, 0));
}
