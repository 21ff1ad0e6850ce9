// Ranks with another run before them are found out.
#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>

#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/run/rank_agreement.hpp>

#include <tests/reference/thread_ranks.hpp>

namespace rank_agreement_test {
namespace {

using namespace reward_tuner;

TrainedWeights weights_of(const std::vector<double>& numbers) { return {.named = {{"w", at::tensor(numbers)}}}; }

}  // namespace
}  // namespace rank_agreement_test

TEST_CASE("ranks with equal options and weights agree; others are named with what differs") {
  using namespace rank_agreement_test;
  const nlohmann::json options{{"steps", 4}};
  for (const int size : {1, 2, 3})
    reference::on_ranks(size, [&](const Ranks& ranks) { check_same_run(ranks, options, weights_of({1, 2})); });
  const auto run = [&](const nlohmann::json& theirs, const std::vector<double>& numbers) {
    reference::on_ranks(2, [&](const Ranks& ranks) {
      check_same_run(ranks, ranks.first() ? options : theirs,
                     weights_of(ranks.first() ? std::vector{1.0, 2.0} : numbers));
    });
  };
  CHECK_THROWS_WITH_AS(
      run({{"steps", 10}}, {1, 2}),
      "[Trainer] all ranks expected the options of rank 0, got others on rank 1; steps was 4, is now 10", Error);
  CHECK_THROWS_WITH_AS(run(options, {1, 3}),
                       "[Trainer] all ranks expected the weights of rank 0 to begin with, got others on rank 1", Error);
  CHECK_THROWS_AS(run(options, {0, 3}), Error);  // of an equal sum
}

TEST_CASE("ranks that found different checkpoints do not resume") {
  using namespace rank_agreement_test;
  reference::on_ranks(3, [](const Ranks& ranks) { check_same_checkpoint(ranks, 7, "run"); });
  CHECK_THROWS_AS(
      reference::on_ranks(2, [](const Ranks& ranks) { check_same_checkpoint(ranks, 7 + ranks.rank(), "run"); }), Error);
}
