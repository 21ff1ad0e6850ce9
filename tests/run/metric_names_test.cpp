// Metrics of an evaluation: every number has a name of its own.
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/run/metric_names.hpp>

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include <reward_tuner/rewards/callable.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include <tests/reference/toy_pipeline.hpp>

namespace metric_names_test {
namespace {

using namespace reward_tuner;

/// Reports `value` as itself, and `value` + 1 as its component "part".
AnyReward reporting(double value) {
  return AnyReward(black_box([value](const Tensor& images) {
    RewardResult result{at::full({images.size(0)}, value)};
    result.components.emplace("part", result.values + 1);
    return result;
  }));
}

}  // namespace

TEST_CASE("components that two rewards report have the second reward's name in front; none is dropped") {
  reference::ToyPipeline pipeline;
  const auto metrics = [&](const std::vector<EvaluationReward>& rewards) {
    return evaluate(pipeline, Ddim({.num_steps = 2}), {{"a star", 1}, {"a moon", 2}, {"a cat", 3}}, rewards,
                    {.batch = 2})
        ->metrics;
  };
  auto found = metrics({{"", reporting(0), true}, {"mine", reporting(10)}, {"reward", reporting(20)}});
  found.erase("blank_share");
  CHECK(found == std::map<std::string, double>{
                     {"part", 1}, {"mine", 10}, {"mine.part", 11}, {"reward", 20}, {"reward.part", 21}});
  // a name that was given wins over a component's own
  found = metrics({{"", reporting(0), true}, {"part", reporting(10)}});
  found.erase("blank_share");
  CHECK(found == std::map<std::string, double>{{"black_box.part", 1}, {"part", 10}, {"part.part", 11}});
}

TEST_CASE("two rewards of one name, and one without a name, are named errors") {
  CHECK_THROWS_WITH_AS(
      MetricNames(std::vector<EvaluationReward>{{"mine", reporting(0)}, {"mine", reporting(1)}}),
      "[Evaluation] expected rewards of different names, got two 'mine', the second of which is black_box", Error);
  CHECK_THROWS_WITH_AS(MetricNames(std::vector<EvaluationReward>{{"", reporting(0)}}),
                       "[Evaluation] expected a name for the reward black_box, or components_only, got an empty one",
                       Error);
  const std::vector<EvaluationReward> alike{
      {"", reporting(0), true}, {"", reporting(0), true}, {"", reporting(0), true}};
  MetricNames names(alike);
  CHECK(names.of(alike[0], "blank") == "blank_share");
  CHECK(names.of(alike[1], "blank") == "black_box.blank_share");
  CHECK(names.of(alike[1], "blank") == "black_box.blank_share");
  CHECK_THROWS_WITH_AS(names.of(alike[2], "blank"), doctest::Contains("got 'black_box.blank_share': give the reward"),
                       Error);
}

}  // namespace metric_names_test
