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
  CHECK(best_evaluation(evaluations, "reward", one) == BestEvaluation{"reward", 8, 0.75});
  CHECK(best_evaluation(evaluations, "reward", two) == BestEvaluation{"reward", 8, 2.5});
  CHECK(best_evaluation(evaluations, "x", one) == BestEvaluation{"x", 4, 3});
  CHECK_FALSE(best_evaluation(evaluations, "y", one).has_value());
  CHECK_FALSE(best_evaluation({}, "reward", one).has_value());
}

TEST_CASE("a run's outcome is the kept evaluation, or the last") {
  const std::vector<EvaluationRecord> evaluations = {{.update = 0}, {.update = 4}, {.update = 6}};
  CHECK(&outcome_evaluation(evaluations, {}) == &evaluations[2]);
  CHECK(&outcome_evaluation(evaluations, BestEvaluation{.update = 4}) == &evaluations[1]);
  CHECK_THROWS_WITH_AS(outcome_evaluation(evaluations, BestEvaluation{.update = 5}),
                       "[Trainer] expected an evaluation after 5 updates, got none", Error);
  CHECK_THROWS_WITH_AS(outcome_evaluation({}, {}), "[Trainer] expected an evaluation, got none", Error);
}

}  // namespace
}  // namespace best_evaluation_test
