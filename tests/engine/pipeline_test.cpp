// The guided network call.
#include <doctest/doctest.h>

#include <torch/autograd.h>

#include <string>
#include <vector>

#include <reward_tuner/engine/pipeline.hpp>

#include <tests/reference/toy_pipeline.hpp>

TEST_CASE("a doubled batch equals two calls, and scale 1 is one call of the condition alone") {
  using namespace reward_tuner;
  reference::ToyPipeline pipeline;
  const Condition condition = pipeline.encode({"one", "two"});
  const Tensor x = Rng(3).normal({2, 2, 4, 4}, at::kDouble), times = at::full({2}, 401, at::kLong);
  const Tensor u = pipeline.predict(x, times, condition.negative), c = pipeline.predict(x, times, condition.positive);
  pipeline.calls = pipeline.rows = 0;
  NetworkCounts counts;
  const GuidedOutput three = guided_call(pipeline, x, 401, condition, 3.0, counts);
  CHECK(three.raw.size(0) == 4);
  CHECK(at::allclose(three.raw, at::cat({u, c}), 1e-13, 1e-13));
  CHECK(at::allclose(three.guided, u + 3.0 * (c - u), 1e-13, 1e-13));
  CHECK(pipeline.calls == 1);
  CHECK(pipeline.rows == 4);
  const GuidedOutput one = guided_call(pipeline, x, 401, condition, 1.0, counts);
  CHECK(at::allclose(one.guided, c, 1e-13, 1e-13));
  CHECK(pipeline.rows == 6);
  CHECK(at::allclose(guided_call(pipeline, x, 401, condition, 0.0, counts).guided, u, 1e-13, 1e-13));
  CHECK(counts.forwards == 3);
  CHECK(counts.backwards == 0);
}

TEST_CASE("split_cotangent is the transpose of guidance") {
  using namespace reward_tuner;
  const Tensor raw = Rng(4).normal({6, 2}, at::kDouble).requires_grad_(), q = Rng(5).normal({3, 2}, at::kDouble);
  for (const double w : {0.0, 0.5, 3.0}) {
    const auto halves = raw.chunk(2);
    const Tensor guided = halves[0] + w * (halves[1] - halves[0]);
    CHECK(at::allclose(split_cotangent(q, w), torch::autograd::grad({guided}, {raw}, {q})[0], 1e-14, 1e-14));
  }
  CHECK(split_cotangent(q, 1.0).is_same(q));
}

TEST_CASE("the toy pipeline's reference scope is the untuned network, and closes again") {
  using namespace reward_tuner;
  reference::ToyPipeline pipeline;
  const Condition condition = pipeline.encode({"one"});
  const Tensor x = Rng(3).normal({1, 2, 4, 4}, at::kDouble), times = at::full({1}, 401, at::kLong);
  const Tensor before = pipeline.predict(x, times, condition.positive).detach();
  pipeline.disturb(1, 0.1);
  const Tensor after = pipeline.predict(x, times, condition.positive).detach();
  CHECK_FALSE(before.equal(after));
  {
    const auto scope = pipeline.reference_scope();
    CHECK(pipeline.predict(x, times, condition.positive).equal(before));
  }
  CHECK(pipeline.predict(x, times, condition.positive).equal(after));
}
