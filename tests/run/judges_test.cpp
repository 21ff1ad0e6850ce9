// Judges: when trained and judging rewards move apart.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/run/judges.hpp>

namespace judges_test {
namespace {

using namespace reward_tuner;

/// Evaluations of one trained reward and judges "a", "b", ...: a list of values for each.
std::vector<EvaluationRecord> evaluations(const std::vector<double>& trained,
                                          const std::vector<std::vector<double>>& judges) {
  std::vector<EvaluationRecord> out;
  for (std::size_t i = 0; i < trained.size(); ++i) {
    EvaluationRecord& record = out.emplace_back();
    record.update = static_cast<std::int64_t>(i);
    record.metrics["reward"] = trained[i];
    for (std::size_t j = 0; j < judges.size(); ++j)
      record.metrics[judge_metric(std::string(1, static_cast<char>('a' + j)))] = judges[j][i];
  }
  return out;
}

}  // namespace

TEST_CASE("evaluations move apart while the trained reward rises and more than half of the judges fall") {
  const HeldOutMetrics one{{"reward"}, {"a"}}, two{{"reward"}, {"a", "b"}}, three{{"reward"}, {"a", "b", "c"}};
  const std::vector<double> rising = {1, 2, 3, 4};
  const std::vector<double> falling = {9, 8, 7, 6}, flat = {5, 5, 5, 5}, late = {1, 2, 1, 0};
  CHECK(evaluations_apart(evaluations(rising, {falling}), one) == 3);
  CHECK(evaluations_apart(evaluations(rising, {late}), one) == 2);
  CHECK(evaluations_apart(evaluations(rising, {flat}), one) == 0);
  CHECK(evaluations_apart(evaluations(falling, {falling}), one) == 0);
  CHECK(evaluations_apart(evaluations({1, 2, 2, 3}, {falling}), one) == 1);  // equal is not risen
  CHECK(evaluations_apart(evaluations(rising, {falling, falling}), two) == 3);
  CHECK(evaluations_apart(evaluations(rising, {falling, rising}), two) == 0);  // half is not most
  CHECK(evaluations_apart(evaluations(rising, {falling, rising, falling}), three) == 3);
  CHECK(evaluations_apart(evaluations(rising, {falling, rising, late}), three) == 2);
}

TEST_CASE("without judges, before a second evaluation, or without a number nothing moves apart") {
  const HeldOutMetrics one{{"reward"}, {"a"}};
  CHECK(evaluations_apart({}, one) == 0);
  CHECK(evaluations_apart(evaluations({1}, {{1}}), one) == 0);
  CHECK(evaluations_apart(evaluations({1, 2}, {{2, 1}}), {{"reward"}, {}}) == 0);
  CHECK(evaluations_apart(evaluations({1, 2}, {{2, 1}}), {{"other"}, {"a"}}) == 0);
  CHECK(evaluations_apart(evaluations({1, 2}, {{2, 1}}), {{"reward"}, {"z"}}) == 0);
  CHECK(evaluations_apart(evaluations({1, 2}, {{2, std::nan("")}}), one) == 0);
  CHECK(evaluations_apart(evaluations({1, std::nan("")}, {{2, 1}}), one) == 0);
}

TEST_CASE("of several tasks the mean of their rewards counts") {
  std::vector<EvaluationRecord> records(2);
  records[0].metrics = {{"first", 1}, {"second", 1}, {"judge.a", 2}};
  records[1].metrics = {{"first", 0.5}, {"second", 2}, {"judge.a", 1}};
  const HeldOutMetrics tasks{{"first", "second"}, {"a"}};
  CHECK(evaluations_apart(records, tasks) == 1);
  records[1].metrics["second"] = 1.25;
  CHECK(evaluations_apart(records, tasks) == 0);
}

}  // namespace judges_test
