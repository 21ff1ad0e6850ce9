// Which evaluation is a run's best.
#include <reward_tuner/run/best_evaluation.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace best_evaluation_test {
namespace {

using namespace reward_tuner;

TEST_CASE("the best evaluation is the highest by the named reward, the first of equal ones") {
  const double nan = std::nan("");
  const std::vector<EvaluationRecord> evaluations = {
      {.update = 0, .metrics = {{"reward", nan}, {"a", 5}, {"b", -9}, {"judge.x", 1}}},
      {.update = 4, .metrics = {{"reward", 0.5}, {"a", 3}, {"b", 0}, {"judge.x", 3}}},
      {.update = 8, .metrics = {{"reward", 0.75}, {"a", 1}, {"b", 4}}},
      {.update = 12, .metrics = {{"reward", 0.75}, {"a", 2}, {"b", 1}, {"judge.x", INFINITY}, {"judge.y", nan}}}};
  const HeldOutMetrics one{.trained = {"reward"}, .judges = {"x", "y"}}, two{.trained = {"a", "b"}};
  CHECK(best_evaluation(evaluations, "reward", one) == BestEvaluation{8, 0.75});
  CHECK(best_evaluation(evaluations, "reward", two) == BestEvaluation{8, 2.5});
  CHECK(best_evaluation(evaluations, "x", one) == BestEvaluation{4, 3});
  CHECK_FALSE(best_evaluation(evaluations, "y", one).has_value());
  CHECK_FALSE(best_evaluation({}, "reward", one).has_value());
}

}  // namespace
}  // namespace best_evaluation_test
