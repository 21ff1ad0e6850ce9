// The moving average against its formula, the evaluation scope and the checkpoint state.
#include <ATen/ops/allclose.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/optim/ema.hpp>

using namespace reward_tuner;

namespace ema_test {

TEST_CASE("ema: follows the recursion, with and without warm-up") {
  for (const bool warm_up : {true, false}) {
    Tensor x = at::randn({4, 3}, at::kDouble), y = at::randn({2});
    Ema ema({x, y}, {.decay = 0.9, .warm_up = warm_up});
    CHECK(ema.averages()[0].equal(x));
    Tensor want_x = x.clone(), want_y = y.to(at::kDouble);
    for (int t = 1; t <= 100; ++t) {
      x.copy_(at::randn({4, 3}, at::kDouble));
      y.copy_(at::randn({2}));
      const double decay = warm_up ? std::min(0.9, (1.0 + t) / (10.0 + t)) : 0.9;
      want_x = decay * want_x + (1 - decay) * x;
      want_y = decay * want_y + (1 - decay) * y;
      ema.update();
      CHECK(ema.decay_at(t) == decay);
    }
    CHECK(ema.updates() == 100);
    CHECK(at::allclose(ema.averages()[0], want_x, 1e-12, 1e-12));
    CHECK(at::allclose(ema.averages()[1].to(at::kDouble), want_y, 1e-5, 1e-5));
  }
}

TEST_CASE("ema: half-precision tensors have a float32 average that small steps reach") {
  Tensor x = at::zeros({3}, at::kBFloat16);
  Ema ema({x}, {.decay = 0.999, .warm_up = false});
  x.fill_(1);
  for (int i = 0; i < 100; ++i) ema.update();
  CHECK((ema.averages()[0].scalar_type() == at::kFloat));
  CHECK(ema.averages()[0][0].item<double>() == doctest::Approx(1 - std::pow(0.999, 100)).epsilon(1e-4));
  const auto scope = ema.swap_in();
  CHECK((x.scalar_type() == at::kBFloat16));
  CHECK(x[0].item<double>() == doctest::Approx(0.0952).epsilon(0.01));
}

TEST_CASE("ema: the scope shows the averages and gives the values back, after exceptions too") {
  Tensor leaf = at::randn({5}).requires_grad_();
  const Tensor start = leaf.detach().clone();
  Ema ema({leaf}, {.decay = 0.5, .warm_up = false});
  {
    const torch::NoGradGuard no_grad;
    leaf.copy_(at::randn({5}));
  }
  ema.update();
  const Tensor trained = leaf.detach().clone(), average = 0.5 * start + 0.5 * trained;
  {
    const auto scope = ema.swap_in();
    CHECK(at::allclose(leaf.detach(), average, 1e-6, 1e-6));
    CHECK(leaf.requires_grad());
    CHECK_THROWS_WITH_AS(ema.update(), doctest::Contains("inside a swap_in() scope"), Error);
    CHECK_THROWS_WITH_AS([&] { const auto second = ema.swap_in(); }(), doctest::Contains("do not nest"), Error);
  }
  CHECK(leaf.detach().equal(trained));
  try {
    const auto scope = ema.swap_in();
    throw std::runtime_error("evaluation failed");
  } catch (const std::runtime_error&) {
  }
  CHECK(leaf.detach().equal(trained));
  ema.update();
  CHECK(ema.updates() == 2);
}

TEST_CASE("ema: a state continues bit for bit; a state that does not fit changes nothing") {
  Tensor x = at::randn({4}), y = x.clone();
  Ema first({x});
  for (int i = 0; i < 3; ++i) {
    x.add_(1);
    first.update();
  }
  y.copy_(x);
  Ema second({y});
  second.load_state(first.state());
  CHECK(second.updates() == 3);
  x.add_(1);
  y.add_(1);
  first.update();
  second.update();
  CHECK(first.averages()[0].equal(second.averages()[0]));

  const Tensor before = second.averages()[0].clone();
  auto wrong = first.state();
  wrong["0.average"] = at::ones({5});
  CHECK_THROWS_WITH_AS(second.load_state(wrong), doctest::Contains("0.average expected [4]"), Error);
  wrong = first.state();
  wrong.erase("updates");
  wrong["other"] = at::ones({1});
  CHECK_THROWS_WITH_AS(second.load_state(wrong), doctest::Contains("lacks the tensor updates"), Error);
  wrong.erase("other");
  CHECK_THROWS_WITH_AS(second.load_state(wrong), doctest::Contains("expected 2 tensors, got 1"), Error);
  CHECK(second.averages()[0].equal(before));
}

TEST_CASE("ema: options out of range and wrong tensors are errors") {
  CHECK_THROWS_WITH_AS(Ema({at::ones({1})}, {.decay = 1.0}), doctest::Contains("decay must be in [0, 1)"), Error);
  CHECK_THROWS_AS(Ema({at::ones({1})}, {.decay = -0.1}), Error);
  CHECK_THROWS_WITH_AS(Ema(std::vector<Tensor>{}), doctest::Contains("at least one tensor"), Error);
  CHECK_THROWS_WITH_AS(Ema({at::ones({1}, at::kLong)}), doctest::Contains("floating-point"), Error);
}

}  // namespace ema_test
