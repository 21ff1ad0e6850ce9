// The adapters of a layer: one formula in three modes, sums, gradients, and scopes that restore what they found.
#include <ATen/ops/allclose.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <doctest/doctest.h>
#include <torch/autograd.h>

#include <memory>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/captured_calls.hpp>
#include <reward_tuner/models/layers.hpp>

using namespace reward_tuner;

namespace adaptable_layer_test {
namespace {

std::shared_ptr<Adapter> adapter(Tensor down, Tensor up, double scale) {
  return std::make_shared<Adapter>(Adapter{.factors = {std::move(down), std::move(up), scale}});
}

struct Pair : torch::nn::Module {
  std::shared_ptr<Linear> linear;
  std::shared_ptr<Conv2d> conv;
  Pair() {
    linear = register_module("linear", std::make_shared<Linear>(5, 4));
    conv = register_module("conv", std::make_shared<Conv2d>(3, 6, 3, 2, 1));
    const torch::NoGradGuard no_grad;
    for (auto& p : parameters()) p.copy_(at::randn(p.sizes()));
  }
  void attach() {
    linear->attach(adapter(at::randn({2, 5}), at::randn({4, 2}), 0.7));
    conv->attach(adapter(at::randn({2, 3, 3, 3}), at::randn({6, 2, 1, 1}), -0.3));
  }
};

}  // namespace

TEST_CASE("adaptable_layer: apart and merged equal the layer with W + scale * B A") {
  const torch::NoGradGuard no_grad;
  auto net = std::make_shared<Pair>();
  net->attach();
  const Tensor x = at::randn({7, 5}), image = at::randn({2, 3, 8, 6});
  const auto& low = net->linear->adapters().at(0)->factors;
  const Tensor want = at::linear(x, net->linear->weight + 0.7 * low.up.matmul(low.down), net->linear->bias);
  const auto& conv = net->conv->adapters().at(0)->factors;
  const Tensor kernel = net->conv->weight - 0.3 * conv.up.flatten(1).matmul(conv.down.flatten(1)).view({6, 3, 3, 3});
  const Tensor want_image = at::conv2d(image, kernel, net->conv->bias, 2, 1);
  CHECK(want_image.sizes() == at::IntArrayRef({2, 6, 4, 3}));
  for (const auto mode : {AdapterMode::kApart, AdapterMode::kMerged}) {
    const AdapterScope scope(*net, mode);
    CHECK(scope.size() == 2);
    CHECK(at::allclose(net->linear->forward(x), want, 1e-5, 1e-5));
    CHECK(at::allclose(net->conv->forward(image), want_image, 1e-4, 1e-4));
  }
  const AdapterScope off(*net, AdapterMode::kReference);
  CHECK(net->linear->forward(x).equal(at::linear(x, net->linear->weight, net->linear->bias)));
}

TEST_CASE(
    "adaptable_layer: a convolution on doubled pixels is the convolution of the doubled image, adapter apart or "
    "merged; other kernels are refused") {
  const torch::NoGradGuard no_grad;
  Conv2d conv(3, 6, 3, 1, 1);
  conv.weight.copy_(at::randn({6, 3, 3, 3}));
  conv.bias.copy_(at::randn({6}));
  conv.attach(adapter(at::randn({2, 3, 3, 3}), at::randn({6, 2, 1, 1}), -0.3));
  const Tensor x = at::randn({2, 3, 4, 5}), doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3);
  for (const auto mode : {AdapterMode::kApart, AdapterMode::kMerged, AdapterMode::kReference}) {
    conv.set_mode(mode);
    CHECK(at::allclose(conv.forward_upsampled(x), conv.forward(doubled), 1e-4, 1e-4));
  }
  CHECK_THROWS_WITH_AS(Conv2d(3, 6, 3, 2, 1).forward_upsampled(x),
                       doctest::Contains("expected a 3x3 layer with stride 1 and padding 1"), Error);
}

TEST_CASE("adaptable_layer: gradients reach the adapter when it is apart or merged, and none when it is off") {
  auto net = std::make_shared<Pair>();
  for (auto& p : net->parameters()) p.requires_grad_(false);
  const Tensor down = at::randn({2, 5}).requires_grad_(), up = at::randn({4, 2}).requires_grad_();
  net->linear->attach(adapter(down, up, 2.0));
  const Tensor x = at::randn({3, 5}), v = at::randn({3, 4});
  const auto grads = torch::autograd::grad({net->linear->forward(x)}, {down, up}, {v});
  CHECK(at::allclose(grads[0], 2.0 * up.t().matmul(v.t()).matmul(x), 1e-5, 1e-5));
  CHECK(at::allclose(grads[1], 2.0 * v.t().matmul(x).matmul(down.t()), 1e-5, 1e-5));
  {
    const AdapterScope off(*net, AdapterMode::kReference);
    CHECK_FALSE(net->linear->forward(x).requires_grad());
  }
  {
    const AdapterScope merged(*net, AdapterMode::kMerged);  // calls with gradient run apart
    const auto same = torch::autograd::grad({net->linear->forward(x)}, {down, up}, {v});
    CHECK(same[0].equal(grads[0]));
    CHECK(same[1].equal(grads[1]));
  }
  CHECK(net->linear->forward(x).requires_grad());
}

TEST_CASE("adaptable_layer: scopes nest and restore the modes; merging sees new values each time") {
  const torch::NoGradGuard no_grad;
  auto net = std::make_shared<Pair>();
  net->attach();
  const Tensor x = at::randn({2, 5});
  {
    const AdapterScope outer(*net, AdapterMode::kMerged);
    {
      const AdapterScope inner(*net, AdapterMode::kReference);
      CHECK(net->conv->mode() == AdapterMode::kReference);
    }
    CHECK(net->conv->mode() == AdapterMode::kMerged);
  }
  CHECK(net->conv->mode() == AdapterMode::kApart);
  net->linear->adapters()[0]->factors.up.add_(1);
  const Tensor apart = net->linear->forward(x);
  const AdapterScope merged(*net, AdapterMode::kMerged);
  CHECK(at::allclose(net->linear->forward(x), apart, 1e-5, 1e-5));
}

TEST_CASE("adaptable_layer: merged weights stay where they are if asked, and a layer tells what a call reads") {
  const torch::NoGradGuard no_grad;
  auto net = std::make_shared<Pair>();
  net->attach();
  const Tensor x = at::randn({7, 5});
  const auto told = [&] {
    CallState state;
    net->linear->tell(state);
    return state;
  };
  CHECK(told().reads.size() == 4);     // weight, bias and both factors
  CHECK(told().settings.size() == 2);  // mode and scale
  const Tensor apart = net->linear->forward(x);
  const auto merged = [&](bool in_place) {
    const AdapterScope scope(*net, AdapterMode::kMerged, in_place);
    const CallState state = told();
    CHECK(state.reads.size() == 3);
    CHECK(state.settings.size() == 1);
    CHECK(state.reads[2].equal(net->linear->merged_weight(at::kFloat)));
    return state.reads[2];
  };
  const Tensor first = merged(false), second = merged(false);
  CHECK(first.data_ptr() != second.data_ptr());
  const Tensor kept = merged(true);
  const Tensor before = kept.clone();
  Tensor(net->linear->adapters().at(0)->factors.up).add_(1);
  const Tensor again = merged(true);
  CHECK(again.data_ptr() == kept.data_ptr());
  CHECK_FALSE(again.equal(before));
  {
    const AdapterScope off(*net, AdapterMode::kReference);
    CHECK(told().reads.size() == 2);
    CHECK(told().settings.empty());
  }
  CHECK_FALSE(net->linear->forward(x).equal(apart));
  net->linear->attach(adapter(at::randn({1, 5}), at::randn({4, 1}), 0.5));
  CHECK(told().reads.size() == 6);
}

TEST_CASE("adaptable_layer: float32 adapters work on half-precision and double layers") {
  const torch::NoGradGuard no_grad;
  for (const auto type : {at::kBFloat16, at::kDouble}) {
    auto net = std::make_shared<Pair>();
    net->to(type);
    net->attach();
    const Tensor x = at::randn({3, 5}).to(type);
    const Tensor apart = net->linear->forward(x);
    CHECK((apart.scalar_type() == type));
    const AdapterScope merged(*net, AdapterMode::kMerged);
    CHECK((net->linear->forward(x).scalar_type() == type));
    CHECK(at::allclose(net->linear->forward(x).to(at::kFloat), apart.to(at::kFloat), 0.05,
                       type == at::kDouble ? 1e-5 : 0.1));
  }
}

TEST_CASE("adaptable_layer: adapters of different rank add up in every mode, and each can be taken off") {
  const torch::NoGradGuard no_grad;
  auto net = std::make_shared<Pair>();
  net->to(at::kDouble);
  const auto random = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble); };
  const Tensor x = random({7, 5}), image = random({2, 3, 8, 6});
  const auto one = adapter(random({2, 5}), random({4, 2}), 0.7), two = adapter(random({1, 5}), random({4, 1}), -1.5);
  const auto kernel = adapter(random({2, 3, 3, 3}), random({6, 2, 1, 1}), 0.5),
             other = adapter(random({4, 3, 3, 3}), random({6, 4, 1, 1}), 2);
  two->frozen = other->frozen = true;
  net->linear->attach(one);
  net->linear->attach(two);
  net->conv->attach(kernel);
  net->conv->attach(other);
  const auto near = [](const Tensor& a, const Tensor& b) { return at::allclose(a, b, 1e-12, 1e-12); };
  const auto expect = [&](const std::vector<std::shared_ptr<Adapter>>& linear,
                          const std::vector<std::shared_ptr<Adapter>>& conv) {
    Tensor w = net->linear->weight.clone(), k = net->conv->weight.clone();
    for (const auto& a : linear) w += a->factors.delta();
    for (const auto& a : conv) k += a->factors.delta();
    CHECK(near(net->linear->forward(x), at::linear(x, w, net->linear->bias)));
    CHECK(near(net->conv->forward(image), at::conv2d(image, k, net->conv->bias, 2, 1)));
    CHECK(near(net->conv->merged_weight(at::kDouble), k));
  };
  for (const auto mode : {AdapterMode::kApart, AdapterMode::kMerged}) {
    const AdapterScope scope(*net, mode);
    expect({one, two}, {kernel, other});
    net->conv->detach(kernel);  // in the middle of a rollout
    expect({one, two}, {other});
    net->conv->attach(kernel);
    expect({one, two}, {other, kernel});
    CHECK(net->conv->mode() == mode);
  }
  {
    const AdapterScope reference(*net, AdapterMode::kReference);
    expect({two}, {other});
  }
  net->linear->detach(two);
  net->conv->detach(kernel);
  expect({one}, {other});
  net->linear->detach(two);  // not there any more
  CHECK(net->linear->adapters().size() == 1);
}

TEST_CASE("adaptable_layer: stacked factors are the sum of the corrections; of none there is none") {
  const LowRank one{at::randn({2, 5}, at::kDouble), at::randn({4, 2}, at::kDouble), 0.7},
      two{at::randn({3, 5}, at::kDouble), at::randn({4, 3}, at::kDouble), -2};
  CHECK(at::allclose(stacked({&one, &two}).delta(), one.delta() + two.delta(), 1e-12, 1e-12));
  CHECK(stacked({&one}).down.is_same(one.down));
  CHECK_THROWS_WITH_AS(stacked({}), doctest::Contains("at least one adapter to stack, got none"), Error);
}

}  // namespace adaptable_layer_test
