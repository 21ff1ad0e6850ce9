// What a pipeline promises, on the tests' own.
#include <doctest/doctest.h>

#include <reward_tuner/engine/pipeline.hpp>

#include <tests/reference/toy_pipeline.hpp>

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
