// Which trained steps keep their graphs, and what the first update measures for it.
#include <doctest/doctest.h>

#include <ATen/ops/zeros.h>

#include <string>
#include <vector>

#include <reward_tuner/engine/graph_budget.hpp>
#include <reward_tuner/samplers/ddim.hpp>

namespace graph_budget_test {
namespace {

using namespace reward_tuner;

std::string kept(const RolloutSetup& setup, std::int64_t rows) {
  const auto keeps = last_steps_within(setup, rows);
  std::string text;
  for (const int k : setup.plan.trained)
    if (keeps(k)) text += std::to_string(k);
  return text;
}

}  // namespace
}  // namespace graph_budget_test

TEST_CASE("the last trained steps keep their graphs, as many as rows fit; a guided sample is two") {
  using namespace graph_budget_test;
  Condition condition;
  condition.prompts = {"a", "b", "c"};
  RolloutSetup setup{Ddim({.num_steps = 6}).schedule(NoiseSchedule()),
                     {.last = 5, .jumps = false, .trained = {0, 2, 5}},
                     condition,
                     PerStep<double>(6, 3.0)};
  setup.guidance(2) = 1.0;  // the prompt alone
  CHECK(kept(setup, 0) == "");
  CHECK(kept(setup, 5) == "");
  CHECK(kept(setup, 6) == "5");
  CHECK(kept(setup, 8) == "5");
  CHECK(kept(setup, 9) == "25");
  CHECK(kept(setup, 14) == "25");
  CHECK(kept(setup, 15) == "025");
  CHECK(kept(setup, 1000) == "025");
}

TEST_CASE("rows within a budget: what is left beside a rollout and beside a backward pass") {
  using namespace graph_budget_test;
  const auto bytes = [](std::int64_t n) { return at::zeros({n}, at::kByte); };
  const MemoryMeter meter;
  const Tensor begun = bytes(1000);
  GraphMeter graphs(meter);
  CHECK_FALSE(graphs.rows_within(1'000'000, false));
  { const Tensor decoded = bytes(50'000); }
  graphs.scored();
  std::vector<Tensor> held;
  for (const std::int64_t size : {30'000, 40'000}) {
    Tensor graph;
    const RowCall call = graphs.measured([&] {
      graph = bytes(size);
      return RowCall{{}, at::zeros({10, 1}), {}};
    });
    const Tensor backward = bytes(60'000);
  }
  // 4 KB a row; beside the decoder 51 KB, beside a backward 61 KB
  CHECK(graphs.rows_within(61'500, false) == 0);
  CHECK(graphs.rows_within(61'500 + 4'100 * 7, false) == 7);
  CHECK(graphs.rows_within(1000, false) == 0);
  held.push_back(bytes(20'000));  // gradients, beside which later micro-batches decode: 71 KB
  CHECK(graphs.rows_within(61'500 + 4'100 * 7, true) == 4);
}
