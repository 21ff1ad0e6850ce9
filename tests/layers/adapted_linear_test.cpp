// A linear layer with its adapter as one operator: the composition's values and gradients, in every type, with a frozen
// or a trained base.
#include <doctest/doctest.h>

#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <torch/autograd.h>

#include <cstdint>
#include <optional>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/adapted_linear.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>

namespace adapted_linear_test {
namespace {

using namespace reward_tuner;

double relative(const Tensor& a, const Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm()).item<double>();
}

struct Layer {
  Tensor weight, bias, down, up;
  Layer(std::int64_t in, std::int64_t out, std::int64_t rank, at::ScalarType type, at::ScalarType factors)
      : weight(at::randn({out, in}, type)),
        bias(at::randn({out}, type)),
        down(at::randn({rank, in}, factors).requires_grad_()),
        up(at::randn({out, rank}, factors).requires_grad_()) {}
  Tensor ours(const Tensor& x, bool with_bias = true) const {
    return adapted_linear(x, weight, with_bias ? std::optional<Tensor>(bias) : std::nullopt, down, up, 0.7);
  }
  /// Written out, by LibTorch's autograd.
  Tensor theirs(const Tensor& x, bool with_bias = true) const {
    return at::linear(x, weight, with_bias ? std::optional<Tensor>(bias) : std::nullopt) +
           0.7 * at::linear(at::linear(x, down.to(x.scalar_type())), up.to(x.scalar_type()));
  }
};

}  // namespace

TEST_CASE(
    "adapted_linear equals base plus adapter in value and in all three gradients, for every shape and both sides of "
    "apply_linear's threshold") {
  for (const auto type : {at::kDouble, at::kFloat})
    for (const auto& shape :
         std::vector<std::vector<std::int64_t>>{{12}, {5, 12}, {3, 7, 12}, {2, 3, 4, 12}, {2, 300, 160}, {1, 12}})
      for (const bool with_bias : {true, false}) {
        const Layer layer(shape.back(), shape.back() == 160 ? 96 : 9, 4, type, type);
        const Tensor x = at::randn(shape, type).requires_grad_();
        const Tensor ours = layer.ours(x, with_bias), theirs = layer.theirs(x, with_bias);
        CHECK(ours.sizes() == theirs.sizes());
        CHECK(relative(ours, theirs) < (type == at::kDouble ? 1e-14 : 1e-6));
        const Tensor v = at::randn(theirs.sizes(), type);
        const auto a = torch::autograd::grad({ours}, {x, layer.down, layer.up}, {v}),
                   b = torch::autograd::grad({theirs}, {x, layer.down, layer.up}, {v});
        for (std::size_t i = 0; i < 3; ++i) {
          CHECK(a[i].sizes() == b[i].sizes());
          CHECK(a[i].is_contiguous());
          CHECK(relative(a[i], b[i]) < (type == at::kDouble ? 1e-13 : 1e-5));
        }
      }
}

TEST_CASE("adapted_linear takes inputs and cotangents of any strides, and inputs without gradient") {
  const Layer layer(6, 5, 2, at::kDouble, at::kDouble);
  const Tensor x = at::randn({6, 4, 3}, at::kDouble).permute({2, 1, 0}),
               v = at::randn({5, 4, 3}, at::kDouble).permute({2, 1, 0});
  const auto a = torch::autograd::grad({layer.ours(x)}, {layer.down, layer.up}, {v}),
             b = torch::autograd::grad({layer.theirs(x)}, {layer.down, layer.up}, {v});
  CHECK(relative(a[0], b[0]) < 1e-14);
  CHECK(relative(a[1], b[1]) < 1e-14);
  const torch::NoGradGuard no_grad;
  CHECK_FALSE(layer.ours(x).requires_grad());
  CHECK(relative(layer.ours(x), layer.theirs(x)) < 1e-14);
}

TEST_CASE(
    "adapted_linear in a layer of lower precision, or under autocast, returns gradients in the types of what they "
    "belong to") {
  for (const std::int64_t rows : {20, 2048}) {  // the second by oneDNN in float32
    const Layer layer(64, 48, 4, at::kFloat, at::kFloat);
    const Tensor x = at::randn({3, rows, 64}).requires_grad_(), v = at::randn({3, rows, 48});
    const auto exact = torch::autograd::grad({layer.theirs(x)}, {x, layer.down, layer.up}, {v});
    const auto compare = [&](const std::vector<Tensor>& rounded) {
      for (std::size_t i = 0; i < 3; ++i) {
        CHECK((rounded[i].scalar_type() == at::kFloat));
        CHECK(relative(rounded[i], exact[i]) < 0.02);
      }
    };
    Tensor y;
    {
      const AutocastScope scope(at::kCPU, at::kBFloat16);
      y = layer.ours(x);
    }
    CHECK((y.scalar_type() == at::kBFloat16));
    CHECK(relative(y, layer.theirs(x)) < 0.02);
    compare(torch::autograd::grad({y}, {x, layer.down, layer.up}, {v.to(at::kBFloat16)}));

    Layer low = layer;
    low.weight = layer.weight.to(at::kBFloat16), low.bias = layer.bias.to(at::kBFloat16);
    const Tensor low_x = x.to(at::kBFloat16);
    compare(torch::autograd::grad({low.ours(low_x)}, {x, layer.down, layer.up}, {v.to(at::kBFloat16)}));
  }
}

TEST_CASE("adapted_linear's backward does not depend on an autocast scope around it") {
  const Layer layer(64, 48, 4, at::kFloat, at::kFloat);
  const Tensor x = at::randn({3, 20, 64}).requires_grad_(), v = at::randn({3, 20, 48}), y = layer.ours(x);
  const std::vector<Tensor> all = {x, layer.down, layer.up};
  const auto plain = torch::autograd::grad({layer.ours(x)}, all, {v});
  const AutocastScope scope(at::kCPU, at::kBFloat16);
  const auto inside = torch::autograd::grad({y}, all, {v});
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(inside[i].equal(plain[i]));
}

TEST_CASE("adapted_linear keeps its input and r numbers a row for the backward, and no second output") {
  const Layer layer(64, 256, 4, at::kFloat, at::kFloat);
  const Tensor x = at::randn({1024, 64}).requires_grad_();
  const MemoryMeter meter;
  const Tensor y = layer.ours(x);
  const std::int64_t output = 1024 * 256 * 4;
  CHECK(meter.live_bytes() >= output);
  CHECK(meter.live_bytes() < output + output / 8);
}

TEST_CASE(
    "adapted_linear gives a trained base its gradient as well, and refuses second derivatives, which it would get "
    "wrong") {
  Layer layer(6, 5, 2, at::kDouble, at::kDouble);
  const Tensor x = at::randn({3, 6}, at::kDouble).requires_grad_(), v = at::randn({3, 5}, at::kDouble);
  CHECK_THROWS_WITH_AS(
      torch::autograd::grad({layer.ours(x)}, {layer.down}, {v}, /*retain_graph=*/true, /*create_graph=*/true),
      doctest::Contains("got a request for second ones"), Error);
  layer.weight.requires_grad_();
  layer.bias.requires_grad_();
  const std::vector<Tensor> all = {x, layer.down, layer.up, layer.weight, layer.bias};
  const auto a = torch::autograd::grad({layer.ours(x)}, all, {v}),
             b = torch::autograd::grad({layer.theirs(x)}, all, {v});
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(relative(a[i], b[i]) < 1e-14);
}

}  // namespace adapted_linear_test
