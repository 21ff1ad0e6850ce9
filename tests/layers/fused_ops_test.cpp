// Group normalization with SiLU, and GEGLU: the operators' values and gradients, and which calls a kernel gets. What
// the kernels' threads do is tested by fused_kernels_test.cpp, the kernels by tests/devices/fused_ops_test.cpp.
#include <doctest/doctest.h>

#include <ATen/ops/gelu.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <torch/autograd.h>

#include <utility>

#include <reward_tuner/layers/fused_ops.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace fused_ops_test {
namespace {

using namespace reward_tuner;

int calls = 0;

/// Kernels of the CPU that count their calls, as long as it lives.
struct CountedKernels {
  FusedKernels before = std::exchange(
      fused_kernels(), FusedKernels{c10::DeviceType::CPU, [](const GroupNormSilu& call) { return ++calls, call.x + 1; },
                                    [](const Tensor& x) { return ++calls, x.narrow(-1, 0, x.size(-1) / 2) + 1; }});
  CountedKernels() { calls = 0; }
  ~CountedKernels() { fused_kernels() = before; }
  CountedKernels(const CountedKernels&) = delete;
};

}  // namespace
}  // namespace fused_ops_test

TEST_CASE("without kernels they are the operators, with all gradients") {
  using namespace fused_ops_test;
  const Tensor w = at::randn({6}, at::kDouble).requires_grad_(), b = at::randn({6}, at::kDouble).requires_grad_();
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const Tensor x = at::randn({2, 6, 3, 5}, at::kDouble).contiguous(format).requires_grad_();
    const Tensor ours = group_norm_silu({x, 3, w, b, 1e-5}), theirs = at::silu(at::group_norm(x, 3, w, b, 1e-5));
    CHECK(ours.equal(theirs));
    const Tensor v = at::randn(theirs.sizes(), at::kDouble);
    const auto mine = torch::autograd::grad({ours}, {x, w, b}, {v}),
               their = torch::autograd::grad({theirs}, {x, w, b}, {v});
    for (std::size_t i = 0; i < 3; ++i) CHECK(mine[i].equal(their[i]));
  }
  const Tensor x = at::randn({2, 3, 8}, at::kDouble).requires_grad_();
  const Tensor theirs = x.narrow(-1, 0, 4) * at::gelu(x.narrow(-1, 4, 4));
  CHECK(geglu(x).equal(theirs));
  CHECK(torch::autograd::grad({geglu(x).sum()}, {x})[0].equal(torch::autograd::grad({theirs.sum()}, {x})[0]));
}

TEST_CASE("no kernel is called where the operators alone are asked for, in a scope within another too") {
  using namespace fused_ops_test;
  const CountedKernels kernels;
  const Tensor w = at::ones({4}), b = at::zeros({4}), x = at::randn({2, 4, 3, 3}), h = at::randn({2, 3, 8});
  const auto both = [&] {
    calls = 0;
    group_norm_silu({x, 2, w, b, 1e-5});
    geglu(h);
    return calls;
  };
  {
    const OperatorsAlone scope;
    CHECK(both() == 0);
    { const OperatorsAlone inner; }
    CHECK(both() == 0);
    CHECK(group_norm_silu({x, 2, w, b, 1e-5}).equal(at::silu(at::group_norm(x, 2, w, b, 1e-5))));
  }
  CHECK(both() == 2);
}

TEST_CASE("a kernel gets the calls without gradient whose device, type and layout it knows, and no others") {
  using namespace fused_ops_test;
  const CountedKernels scope;
  const Tensor w = at::ones({4}), b = at::zeros({4}), x = at::randn({2, 4, 3, 3}), h = at::randn({2, 3, 8});
  const auto both = [&](const Tensor& image, const Tensor& tokens, const Tensor& weight) {
    calls = 0;
    group_norm_silu({image, 2, weight, b.to(weight.scalar_type()), 1e-5});
    const int first = calls;
    geglu(tokens);
    return std::pair(first, calls - first);
  };
  using Both = std::pair<int, int>;
  CHECK(both(x, h, w) == Both(1, 1));
  CHECK(group_norm_silu({x, 2, w, b, 1e-5}).equal(x + 1));  // its answer
  for (const auto type : {at::kBFloat16, at::kHalf}) CHECK(both(x.to(type), h.to(type), w.to(type)) == Both(1, 1));
  CHECK(both(x.contiguous(at::MemoryFormat::ChannelsLast), h, w) == Both(1, 1));
  const auto grads = [](const Tensor& t) { return t.clone().requires_grad_(); };
  {
    const torch::NoGradGuard no_grad;
    CHECK(both(grads(x), grads(h), grads(w)) == Both(1, 1));
  }
  CHECK(both(grads(x), grads(h), w) == Both(0, 0));
  CHECK(both(x, h, grads(w)) == Both(0, 1));
  CHECK(both(x.to(at::kDouble), h.to(at::kDouble), w.to(at::kDouble)) == Both(0, 0));
  CHECK(both(x.to(at::kBFloat16), h, w.to(at::kFloat).to(at::kBFloat16)) == Both(1, 1));
  CHECK(both(x.narrow(3, 0, 2), h.narrow(2, 0, 4), w) == Both(0, 0));
  CHECK(both(x.flatten(2), h, w) == Both(0, 1));
  CHECK(both(x.narrow(0, 0, 0), h.narrow(0, 0, 0), w) == Both(0, 0));
  {
    const AutocastScope autocast(at::kCPU, at::kBFloat16);
    CHECK(both(x, h, w) == Both(0, 0));
  }
  fused_kernels().device = c10::DeviceType::CUDA;
  CHECK(both(x, h, w) == Both(0, 0));
}
