// AdamW against Algorithm 2 of Loshchilov & Hutter in a scalar loop, its state, and its errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/tensor/rng.hpp>

TEST_CASE("AdamW follows its paper's algorithm") {
  using namespace reward_tuner;
  const AdamWOptions options{.learning_rate = 0.03, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.1};
  Rng rng(1);
  const Tensor p = rng.normal({5}, at::kDouble).requires_grad_();
  std::vector<double> x(p.data_ptr<double>(), p.data_ptr<double>() + 5), m(5), v(5);
  AdamW optimizer({p}, options);
  double worst = 0;
  for (int t = 1; t <= 20; ++t) {
    const Tensor g = rng.normal({5}, at::kDouble);
    p.mutable_grad() = g;
    optimizer.step();
    for (std::size_t i = 0; i < 5; ++i) {
      const double gi = g.data_ptr<double>()[i];
      m[i] = 0.8 * m[i] + 0.2 * gi;
      v[i] = 0.95 * v[i] + 0.05 * gi * gi;
      x[i] -= 0.03 * (m[i] / (1 - std::pow(0.8, t)) / (std::sqrt(v[i] / (1 - std::pow(0.95, t))) + 1e-6) + 0.1 * x[i]);
      worst = std::max(worst, std::abs(x[i] - p.data_ptr<double>()[i]));
    }
  }
  MESSAGE("worst error: ", worst);
  CHECK(worst < 1e-10);
}

TEST_CASE("parameters without a gradient are left alone and their steps are not counted") {
  using namespace reward_tuner;
  const Tensor a = at::ones({2}, at::kDouble).requires_grad_(), b = at::ones({2}, at::kFloat).requires_grad_();
  AdamW optimizer({a, b}, {.learning_rate = 0.1, .weight_decay = 0.5});
  a.mutable_grad() = at::ones({2}, at::kDouble);
  optimizer.step();
  CHECK(b.equal(at::ones({2})));
  CHECK(optimizer.state().at("0.step").item<float>() == 1.0F);
  CHECK(optimizer.state().at("1.step").item<float>() == 0.0F);
  b.mutable_grad() = at::ones({2});  // two dtypes in one step
  optimizer.step();
  CHECK_FALSE(b.equal(at::ones({2})));
  optimizer.zero_grad();
  CHECK_FALSE(a.grad().defined());
}

TEST_CASE("a saved state continues bit for bit; a foreign one is a named error that changes nothing") {
  using namespace reward_tuner;
  const auto train = [](AdamW& optimizer, int from, int to) {
    for (int i = from; i < to; ++i) {
      const Tensor p = optimizer.parameters()[0];
      p.mutable_grad() = (p.detach() * (i + 1)).sin();
      optimizer.step();
    }
  };
  const Tensor p = at::linspace(-1, 1, 4).requires_grad_(), q = at::linspace(-1, 1, 4).requires_grad_();
  AdamW whole({p}, {.learning_rate = 0.1}), first({q}, {.learning_rate = 0.1});
  train(whole, 0, 6);
  train(first, 0, 3);
  std::map<std::string, Tensor> saved;
  for (const auto& [name, tensor] : first.state()) saved[name] = tensor.clone();
  AdamW resumed({q}, {.learning_rate = 0.1});
  resumed.load_state(saved);
  train(resumed, 3, 6);
  CHECK(q.equal(p));

  auto foreign = saved;
  foreign["0.second"] = at::zeros({5});
  CHECK_THROWS_WITH_AS(resumed.load_state(foreign), doctest::Contains("0.second expected shape [4], got [5]"), Error);
  foreign = saved;
  foreign["9.first"] = foreign.at("0.first");
  CHECK_THROWS_WITH_AS(resumed.load_state(foreign), doctest::Contains("expected 3 tensors, got 4"), Error);
  foreign.erase("0.first");
  CHECK_THROWS_WITH_AS(resumed.load_state(foreign), doctest::Contains("lacks the tensor 0.first"), Error);
  for (const auto& [name, tensor] : whole.state()) CHECK(resumed.state().at(name).equal(tensor));
}

TEST_CASE("AdamW rejects options and parameters it cannot train") {
  using namespace reward_tuner;
  const Tensor p = at::ones({1}).requires_grad_();
  CHECK_THROWS_WITH_AS(AdamW({}), doctest::Contains("at least one parameter"), Error);
  CHECK_THROWS_WITH_AS(AdamW({at::ones({1})}), doctest::Contains("a leaf that requires a gradient"), Error);
  CHECK_THROWS_WITH_AS(AdamW({p}, {.learning_rate = 0}), "[AdamW] learning_rate must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(AdamW({p}, {.beta1 = 1}), "[AdamW] beta1 must be in [0, 1), got 1", Error);
  CHECK_THROWS_WITH_AS(AdamW({p}, {.beta2 = -0.1}), "[AdamW] beta2 must be in [0, 1), got -0.1", Error);
  CHECK_THROWS_WITH_AS(AdamW({p}, {.epsilon = 0}), "[AdamW] epsilon must be > 0, got 0", Error);
  CHECK_THROWS_WITH_AS(AdamW({p}, {.weight_decay = -1}), "[AdamW] weight_decay must be >= 0, got -1", Error);
  AdamW optimizer({p});
  CHECK_THROWS_WITH_AS(optimizer.scale_learning_rate(-1), "[AdamW] a factor on the learning rate must be >= 0, got -1",
                       Error);
}
