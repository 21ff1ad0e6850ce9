// A rollout's set-up as a value: parts of its samples, another plan, and the values of steps by their numbers.
#include <doctest/doctest.h>

#include <ATen/ops/tensor.h>

#include <stdexcept>
#include <string>
#include <vector>

#include <reward_tuner/engine/rollout_setup.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace rollout_setup_test {
namespace {

using namespace reward_tuner;

RolloutSetup setup_of(const std::vector<std::string>& prompts) {
  reference::ToyPipeline pipeline;
  return sampling_setup(Ddim({.num_steps = 3}).schedule(pipeline.noise_schedule()), pipeline.encode(prompts), 2.5);
}

}  // namespace
}  // namespace rollout_setup_test

TEST_CASE("ordinary sampling trains nothing, runs to the end and has one guidance scale") {
  using namespace rollout_setup_test;
  const RolloutSetup setup = setup_of({"a", "b"});
  CHECK(setup.size() == 2);
  CHECK(setup.plan == StepPlan{.last = 2, .jumps = false, .trained = {}});
  CHECK(setup.guidance == PerStep<double>(3, 2.5));
}

TEST_CASE("a narrowed or selected set-up has the named samples and shares the rest") {
  using namespace rollout_setup_test;
  const RolloutSetup setup = setup_of({"a", "b", "c"});
  const RolloutSetup part = setup.narrow(1, 2), picked = setup.select(at::tensor({2, 0, 0}, at::kLong));
  CHECK(part.condition.prompts == std::vector<std::string>{"b", "c"});
  CHECK(picked.condition.prompts == std::vector<std::string>{"c", "a", "a"});
  CHECK(picked.condition.positive.embeddings[0].equal(setup.condition.positive.embeddings[2]));
  for (const RolloutSetup& other : {part, picked}) {
    CHECK(other.plan == setup.plan);
    CHECK(other.guidance == setup.guidance);
    CHECK(other.schedule.timestep(1) == setup.schedule.timestep(1));
  }
  CHECK(setup.with({.last = 1, .jumps = true, .trained = {1}}).plan.trains(1));
}

TEST_CASE("values of steps are read and written by the step's number, and others are an error") {
  using namespace rollout_setup_test;
  PerStep<double> value = std::vector{1.0, 2.0};
  value(1) = 5.0;
  CHECK(value == PerStep<double>(std::vector{1.0, 5.0}));
  CHECK(value.steps() == 2);
  CHECK_THROWS_AS(value(2), std::out_of_range);
  CHECK_THROWS_AS(value(-1), std::out_of_range);
}
