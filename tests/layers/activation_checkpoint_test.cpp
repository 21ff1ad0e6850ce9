// Checkpointed calls: equal gradients, one more forward, less memory; unused outputs, nesting and autocast.
#include <doctest/doctest.h>

#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <torch/autograd.h>

#include <vector>

#include <reward_tuner/layers/activation_checkpoint.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace activation_checkpoint_test {
namespace {

using namespace reward_tuner;

/// Two outputs from two inputs and a captured weight.
struct Part {
  Tensor weight = at::randn({6, 6}, at::kDouble).requires_grad_();
  int calls = 0;
  variable_list operator()(const variable_list& in) {
    ++calls;
    const Tensor h = at::linear(in[0], weight).tanh();
    return {h * in[1], h.sin() + in[1]};
  }
};

}  // namespace
}  // namespace activation_checkpoint_test

TEST_CASE("gradients of inputs and captured tensors equal the ordinary call's, and the part runs once more") {
  using namespace activation_checkpoint_test;
  Part part;
  const Tensor x = at::randn({3, 6}, at::kDouble).requires_grad_(), y = at::randn({3, 6}, at::kDouble).requires_grad_();
  const auto loss = [](const variable_list& out) { return (out[0] * out[1]).sum(); };
  const auto plain = torch::autograd::grad({loss(part({x, y}))}, {x, y, part.weight});
  part.calls = 0;
  const auto kept = torch::autograd::grad(
      {loss(checkpointed([&](const variable_list& in) { return part(in); }, {x, y}, {part.weight}))},
      {x, y, part.weight});
  CHECK(part.calls == 2);
  for (std::size_t i = 0; i < plain.size(); ++i) CHECK(kept[i].equal(plain[i]));
}

TEST_CASE("outputs nobody uses, inputs without gradient, and no gradient mode at all") {
  using namespace activation_checkpoint_test;
  Part part;
  const Tensor x = at::randn({3, 6}, at::kDouble), y = at::randn({3, 6}, at::kDouble);
  const auto run = [&] {
    return checkpointed([&](const variable_list& in) { return part(in); }, {x, y}, {part.weight});
  };
  const auto plain = torch::autograd::grad({part({x, y})[0].sum()}, {part.weight});
  CHECK(torch::autograd::grad({run()[0].sum()}, {part.weight})[0].equal(plain[0]));
  const torch::NoGradGuard no_grad;
  part.calls = 0;
  CHECK_FALSE(run()[0].requires_grad());
  CHECK(part.calls == 1);
}

TEST_CASE("checkpointed parts nest and accumulate into leaves") {
  using namespace activation_checkpoint_test;
  Part part;
  const Tensor x = at::randn({3, 6}, at::kDouble).requires_grad_();
  const auto inner = [&](const variable_list& in) {
    return checkpointed([&](const variable_list& deep) { return part(deep); }, in, {part.weight});
  };
  const Tensor out = checkpointed([&](const variable_list& in) { return variable_list{inner({in[0], in[0]})[0] * 2}; },
                                  {x}, {part.weight})[0];
  torch::autograd::backward({out.sum()}, {});
  const auto plain = torch::autograd::grad({2 * part({x, x})[0].sum()}, {x, part.weight});
  CHECK(at::allclose(x.grad(), plain[0], 1e-12, 1e-14));
  CHECK(at::allclose(part.weight.grad(), plain[1], 1e-12, 1e-14));
}

TEST_CASE("the second run happens under the first one's autocast") {
  using namespace activation_checkpoint_test;
  const Tensor weight = at::randn({8, 8}).requires_grad_(), x = at::randn({4, 8}).requires_grad_();
  const auto run = [&](const variable_list& in) { return variable_list{at::linear(in[0], weight).to(at::kFloat)}; };
  const auto gradient = [&](bool checkpoint) {
    Tensor y;
    {
      const AutocastScope scope(at::kCPU, at::kBFloat16);
      y = checkpoint ? checkpointed(run, {x}, {weight})[0] : run({x})[0];
    }
    return torch::autograd::grad({y.square().sum()}, {weight})[0];
  };
  CHECK(gradient(true).equal(gradient(false)));
}

TEST_CASE("a chain of checkpointed parts holds less than a plain chain") {
  using namespace activation_checkpoint_test;
  const auto kept = [](bool checkpoint) {
    const Tensor x = at::randn({64, 64}).requires_grad_();
    const MemoryMeter meter;
    Tensor h = x;
    const auto many = [](const variable_list& in) {
      Tensor y = in[0];
      for (int i = 0; i < 8; ++i) y = y.sin();
      return variable_list{y};
    };
    for (int i = 0; i < 4; ++i) h = checkpoint ? checkpointed(many, {h}, {})[0] : many({h})[0];
    return meter.live_bytes();
  };
  CHECK(kept(true) * 4 < kept(false));
}
