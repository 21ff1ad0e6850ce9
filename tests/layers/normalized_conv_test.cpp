// Normalization, SiLU and convolution in strips against the ordinary operators: values and gradients, whatever the
// strip, in double; types; memory; errors.
#include <doctest/doctest.h>

#include <ATen/Functions.h>
#include <torch/autograd.h>

#include <cstdint>
#include <optional>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/frozen_ops.hpp>
#include <reward_tuner/layers/normalized_conv.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace normalized_conv_test {
namespace {

using namespace reward_tuner;

struct Case {
  std::int64_t batch, in, out, groups, height, width;
  bool bias = true;
};

NormalizedConv layer_of(const Case& c, Rng& rng, at::ScalarType type = at::kDouble) {
  const auto like = at::TensorOptions().dtype(type);
  return {.norm_weight = 1 + 0.3 * rng.normal({c.in}, like),
          .norm_bias = 0.2 * rng.normal({c.in}, like),
          .groups = c.groups,
          .eps = 1e-6,
          .weight = 0.2 * rng.normal({c.out, c.in, 3, 3}, like),
          .bias = c.bias ? std::optional(rng.normal({c.out}, like)) : std::nullopt};
}

Tensor plainly(const Tensor& x, const NormalizedConv& l) {
  return apply_conv2d(at::silu(at::group_norm(x, l.groups, l.norm_weight, l.norm_bias, l.eps)), l.weight, l.bias, 1, 1);
}

Tensor gradient_of(const Tensor& y, const Tensor& x, const Tensor& cotangent) {
  return torch::autograd::grad({y}, {x}, {cotangent})[0];
}

double distance(const Tensor& a, const Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

}  // namespace

TEST_CASE("values and gradients are those of the ordinary operators, whatever the strip") {
  for (const Case& c :
       {Case{2, 8, 6, 4, 9, 7}, Case{1, 4, 4, 1, 1, 5}, Case{1, 6, 3, 2, 2, 1, false}, Case{3, 4, 8, 2, 16, 3}}) {
    Rng rng(static_cast<std::uint64_t>(c.height));
    const NormalizedConv layer = layer_of(c, rng);
    // a mean far from 0, rows of different size: strips do not resemble the whole
    const Tensor rows = at::linspace(0.1, 3, c.height, at::kDouble).view({1, 1, -1, 1});
    const Tensor x = (5 + rows * rng.normal({c.batch, c.in, c.height, c.width}, at::kDouble)).requires_grad_();
    const Tensor expected = plainly(x, layer);
    const Tensor cotangent = rng.normal(expected.sizes(), at::kDouble) + 0.5;
    const Tensor expected_gradient = gradient_of(expected, x, cotangent);
    const std::int64_t row = c.batch * c.in * c.width;
    for (const std::int64_t strip : {std::int64_t{1}, row, 2 * row, 3 * row + 1, 4 * row, 1000 * row}) {
      const Tensor y = normalized_conv2d(x, layer, strip);
      CAPTURE(strip);
      CHECK(distance(y, expected) < 1e-13);
      CHECK(distance(gradient_of(y, x, cotangent), expected_gradient) < 1e-12);
      const torch::NoGradGuard no_grad;
      CHECK(normalized_conv2d(x, layer, strip).equal(y));
    }
  }
}

TEST_CASE("the gradient is that of finite differences") {
  const Case c{1, 4, 2, 2, 5, 4};
  Rng rng(3);
  const NormalizedConv layer = layer_of(c, rng);
  const Tensor x = rng.normal({1, 4, 5, 4}, at::kDouble).requires_grad_(),
               cotangent = rng.normal({1, 2, 5, 4}, at::kDouble);
  const Tensor gradient = gradient_of(normalized_conv2d(x, layer, 32), x, cotangent);
  for (int i = 0; i < 5; ++i) {
    const Tensor way = rng.normal(x.sizes(), at::kDouble);
    const torch::NoGradGuard no_grad;
    const double step = 1e-5;
    const double slope =
        ((normalized_conv2d(x + step * way, layer, 32) - normalized_conv2d(x - step * way, layer, 32)) * cotangent)
            .sum()
            .item<double>() /
        (2 * step);
    CHECK(slope == doctest::Approx((gradient * way).sum().item<double>()).epsilon(1e-7));
  }
}

TEST_CASE("bfloat16 numbers are normalized in float32, as by the ordinary operators") {
  const Case c{2, 16, 8, 4, 12, 10};
  Rng rng(4);
  const NormalizedConv layer = layer_of(c, rng, at::kBFloat16);
  const Tensor x = (3 + rng.normal({2, 16, 12, 10})).to(at::kBFloat16).requires_grad_();
  const Tensor expected = plainly(x, layer), y = normalized_conv2d(x, layer, 500);
  CHECK((y.scalar_type() == at::kBFloat16));
  CHECK(distance(y.to(at::kFloat), expected.to(at::kFloat)) < 0.01);
  const Tensor cotangent = rng.normal(y.sizes()).to(at::kBFloat16);
  CHECK(distance(gradient_of(y, x, cotangent).to(at::kFloat), gradient_of(expected, x, cotangent).to(at::kFloat)) <
        0.02);
}

TEST_CASE("of a forward and backward over a large image stays half of the memory, and no more than the result") {
  const Case c{1, 32, 32, 8, 256, 256};
  Rng rng(5);
  const NormalizedConv layer = layer_of(c, rng, at::kFloat);
  const Tensor x = rng.normal({1, 32, 256, 256}).requires_grad_();
  const auto measured = [&](auto apply) {
    const MemoryMeter meter;
    const Tensor y = apply(apply(x));
    const std::int64_t kept = meter.live_bytes();
    gradient_of(y, x, at::ones_like(y));
    return std::pair(static_cast<double>(kept) / static_cast<double>(x.nbytes()),
                     static_cast<double>(meter.peak_bytes()) / static_cast<double>(x.nbytes()));
  };
  const auto whole = measured([&](const Tensor& t) { return plainly(t, layer); });
  const auto strips = measured([&](const Tensor& t) { return normalized_conv2d(t, layer, 1 << 16); });
  MESSAGE("kept and peak in images: ", whole.first, ", ", whole.second, "; in strips ", strips.first, ", ",
          strips.second);
  CHECK(strips.first < 2.05);
  CHECK(whole.first > 3.9);
  CHECK(strips.second < 0.75 * whole.second);
}

TEST_CASE("weights that want a gradient are a named error") {
  const Case c{1, 4, 4, 2, 3, 3};
  Rng rng(6);
  NormalizedConv layer = layer_of(c, rng);
  layer.norm_bias.requires_grad_();
  const Tensor x = at::ones({1, 4, 3, 3}, at::kDouble);
  CHECK_THROWS_WITH_AS(normalized_conv2d(x, layer, 8),
                       "[NormalizedConv] expected frozen weights, got one that wants a gradient", Error);
  const torch::NoGradGuard no_grad;
  CHECK(normalized_conv2d(x, layer, 8).size(1) == 4);
}

}  // namespace normalized_conv_test
