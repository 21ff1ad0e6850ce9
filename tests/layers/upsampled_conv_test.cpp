// A convolution after doubling the pixels as one operator: the two steps' values and gradients, and less memory.
#include <doctest/doctest.h>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <torch/autograd.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <reward_tuner/layers/upsampled_conv.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>

namespace upsampled_conv_test {
namespace {

using namespace reward_tuner;

double relative(const Tensor& a, const Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm()).item<double>();
}

Tensor two_steps(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias) {
  return at::conv2d(at::upsample_nearest2d(x, at::IntArrayRef{2 * x.size(2), 2 * x.size(3)}), weight, bias, 1, 1);
}

}  // namespace

TEST_CASE(
    "upsampled_conv2d equals doubling and convolving in value and every gradient, for sides down to one pixel, frozen "
    "or trained") {
  for (const auto type : {at::kDouble, at::kFloat})
    for (const auto& [height, width] : {std::pair<std::int64_t, std::int64_t>{4, 4}, {5, 3}, {1, 1}, {1, 6}})
      for (const bool with_bias : {true, false})
        for (const bool trained : {true, false}) {
          const Tensor x = at::randn({2, 5, height, width}, type).requires_grad_(),
                       weight = at::randn({7, 5, 3, 3}, type).requires_grad_(trained);
          const std::optional<Tensor> bias =
              with_bias ? std::optional<Tensor>(at::randn({7}, type).requires_grad_(trained)) : std::nullopt;
          const Tensor ours = upsampled_conv2d(x, weight, bias), theirs = two_steps(x, weight, bias);
          REQUIRE(ours.sizes() == theirs.sizes());
          CHECK(relative(ours, theirs) < (type == at::kDouble ? 1e-14 : 2e-6));
          const Tensor v = at::randn(theirs.sizes(), type);
          std::vector<Tensor> wanted{x};
          if (trained) wanted.push_back(weight);
          if (trained && with_bias) wanted.push_back(*bias);
          const auto a = torch::autograd::grad({ours}, wanted, {v}), b = torch::autograd::grad({theirs}, wanted, {v});
          for (std::size_t i = 0; i < a.size(); ++i) CHECK(relative(a[i], b[i]) < (type == at::kDouble ? 1e-14 : 5e-6));
          const torch::NoGradGuard no_grad;
          CHECK(relative(upsampled_conv2d(x, weight, bias), theirs) < (type == at::kDouble ? 1e-14 : 2e-6));
        }
}

TEST_CASE("upsampled_conv2d under autocast computes forward and backward in the lower precision") {
  const Tensor x = at::randn({2, 16, 8, 8}).requires_grad_(), weight = at::randn({8, 16, 3, 3}),
               v = at::randn({2, 8, 16, 16});
  Tensor y;
  {
    const AutocastScope scope(at::kCPU, at::kBFloat16);
    y = upsampled_conv2d(x, weight, std::nullopt);
  }
  CHECK((y.scalar_type() == at::kBFloat16));
  const Tensor exact = two_steps(x, weight, std::nullopt);
  CHECK(relative(y, exact) < 0.02);
  CHECK(relative(torch::autograd::grad({y}, {x}, {v.to(at::kBFloat16)})[0],
                 torch::autograd::grad({exact}, {x}, {v})[0]) < 0.02);
}

TEST_CASE("upsampled_conv2d takes inputs and cotangents of any strides") {
  const Tensor weight = at::randn({7, 5, 3, 3}, at::kDouble);
  for (const Tensor& strided : {at::randn({2, 5, 4, 6}, at::kDouble).contiguous(at::MemoryFormat::ChannelsLast),
                                at::randn({6, 4, 5, 2}, at::kDouble).permute({3, 2, 1, 0})}) {
    const Tensor x = strided.detach().requires_grad_(), v = at::randn({2, 8, 12, 7}, at::kDouble).permute({0, 3, 1, 2});
    const Tensor ours = upsampled_conv2d(x, weight, std::nullopt), theirs = two_steps(x, weight, std::nullopt);
    CHECK(relative(ours, theirs) < 1e-14);
    CHECK(relative(torch::autograd::grad({ours}, {x}, {v})[0], torch::autograd::grad({theirs}, {x}, {v})[0]) < 1e-14);
  }
}

TEST_CASE("upsampled_conv2d's backward does not depend on an autocast scope around it") {
  const Tensor x = at::randn({2, 16, 8, 8}).requires_grad_(), weight = at::randn({8, 16, 3, 3}),
               v = at::randn({2, 8, 16, 16});
  const auto gradient = [&] { return torch::autograd::grad({upsampled_conv2d(x, weight, std::nullopt)}, {x}, {v})[0]; };
  const Tensor plain = gradient(), y = upsampled_conv2d(x, weight, std::nullopt);
  const AutocastScope scope(at::kCPU, at::kBFloat16);
  CHECK(torch::autograd::grad({y}, {x}, {v})[0].equal(plain));
}

TEST_CASE("upsampled_conv2d keeps its output alone with a frozen weight") {
  const Tensor x = at::randn({4, 8, 32, 32}).requires_grad_(), weight = at::randn({8, 8, 3, 3});
  const std::int64_t output = 4 * 8 * 64 * 64 * 4;
  const MemoryMeter meter;
  const Tensor y = upsampled_conv2d(x * 2, weight, std::nullopt);
  CHECK(meter.live_bytes() >= output);
  CHECK(meter.live_bytes() < output + output / 8);
}

}  // namespace upsampled_conv_test
