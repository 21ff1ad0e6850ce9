// Convolution and linear layer of frozen networks: the ordinary ones' values and gradients, and less memory.
#include <doctest/doctest.h>

#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <torch/autograd.h>

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include <reward_tuner/layers/frozen_ops.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>

namespace frozen_ops_test {
namespace {

using namespace reward_tuner;

double relative(const Tensor& a, const Tensor& b) { return ((a - b).norm() / b.norm()).item<double>(); }

}  // namespace
}  // namespace frozen_ops_test

TEST_CASE("apply_conv2d equals at::conv2d in value and input gradient, for strides, paddings, layouts and types") {
  using namespace frozen_ops_test;
  for (const auto type : {at::kDouble, at::kFloat})
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast})
      for (const auto& [kernel, stride, padding] :
           {std::tuple{3, 1, 1}, std::tuple{3, 2, 1}, std::tuple{3, 2, 0}, std::tuple{1, 1, 0}})
        for (const bool with_bias : {true, false}) {
          const Tensor weight = at::randn({6, 5, kernel, kernel}, type);
          const std::optional<Tensor> bias = with_bias ? std::optional<Tensor>(at::randn({6}, type)) : std::nullopt;
          const Tensor x = at::randn({2, 5, 9, 8}, type).contiguous(format).requires_grad_();
          const Tensor ours = apply_conv2d(x, weight, bias, stride, padding),
                       theirs = at::conv2d(x, weight, bias, stride, padding);
          CHECK(ours.equal(theirs));
          const Tensor v = at::randn(theirs.sizes(), type);
          const double error =
              relative(torch::autograd::grad({ours}, {x}, {v})[0], torch::autograd::grad({theirs}, {x}, {v})[0]);
          CHECK(error < (type == at::kDouble ? 1e-13 : 1e-6));
        }
}

TEST_CASE("a trainable weight or bias still gets its gradient") {
  using namespace frozen_ops_test;
  const Tensor x = at::randn({2, 5, 6, 6}, at::kDouble).requires_grad_(), weight = at::randn({4, 5, 3, 3}, at::kDouble),
               bias = at::randn({4}, at::kDouble).requires_grad_();
  CHECK(torch::autograd::grad({apply_conv2d(x, weight, bias, 1, 1).sum()}, {bias})[0].equal(
      at::zeros({4}, at::kDouble) + 72));
  const Tensor trained = weight.clone().requires_grad_();
  CHECK(
      torch::autograd::grad({apply_conv2d(x, trained, std::nullopt, 1, 1).sum()}, {trained})[0].norm().item<double>() >
      0);
}

TEST_CASE("apply_linear equals at::linear in value and gradients on both sides of its threshold") {
  using namespace frozen_ops_test;
  for (const std::int64_t rows : {3, 300})
    for (const bool trained : {false, true}) {
      const Tensor weight = at::randn({96, 160}).requires_grad_(trained),
                   bias = at::randn({96}).requires_grad_(trained), x = at::randn({2, rows, 160}).requires_grad_();
      const Tensor ours = apply_linear(x, weight, bias), theirs = at::linear(x, weight, bias);
      CHECK(ours.sizes() == theirs.sizes());
      CHECK(ours.is_contiguous());
      CHECK(relative(ours.detach(), theirs.detach()) < 1e-6);
      const Tensor v = at::randn(theirs.sizes());
      std::vector<Tensor> wanted{x};
      if (trained) wanted.insert(wanted.end(), {weight, bias});
      const auto a = torch::autograd::grad({ours}, wanted, {v}), b = torch::autograd::grad({theirs}, wanted, {v});
      for (std::size_t i = 0; i < a.size(); ++i) CHECK(relative(a[i], b[i]) < 1e-5);
    }
  const Tensor turned = at::randn({160, 300, 2}).permute({2, 1, 0});  // not contiguous: the ordinary way
  const Tensor weight = at::randn({96, 160});
  CHECK(relative(apply_linear(turned, weight), at::linear(turned, weight)) < 1e-6);
}

TEST_CASE("a frozen convolution keeps no copy of its input for the backward") {
  using namespace frozen_ops_test;
  const auto kept = [](bool frozen) {
    const Tensor weight = at::randn({8, 8, 3, 3}), start = at::randn({4, 8, 32, 32}).requires_grad_();
    const MemoryMeter meter;
    const Tensor y = frozen ? apply_conv2d(start * 2, weight, std::nullopt, 1, 1)
                            : at::conv2d(start * 2, weight, std::nullopt, 1, 1);
    return meter.live_bytes();
  };
  const std::int64_t image = 4 * 8 * 32 * 32 * 4;
  CHECK(kept(true) < image + image / 8);  // the output alone
  CHECK(kept(false) > 2 * image - image / 8);
}
