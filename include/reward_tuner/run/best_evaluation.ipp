// Definitions of best_evaluation.hpp.
#pragma once
#include <reward_tuner/run/best_evaluation.hpp>

#include <algorithm>
#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::optional<BestEvaluation> best_evaluation(const std::vector<EvaluationRecord>& evaluations,
                                                                  const std::string& by,
                                                                  const HeldOutMetrics& metrics) {
  std::optional<BestEvaluation> best;
  for (const EvaluationRecord& evaluation : evaluations) {
    const double value =
        by == kTrainedReward ? trained_reward(evaluation, metrics) : metric_of(evaluation, judge_metric(by));
    if (std::isfinite(value) && (!best || value > best->value)) best = {by, evaluation.update, value};
  }
  return best;
}

REWARD_TUNER_INLINE const EvaluationRecord& outcome_evaluation(const std::vector<EvaluationRecord>& evaluations,
                                                               const std::optional<BestEvaluation>& kept) {
  REWARD_TUNER_CHECK(!evaluations.empty(), "[Trainer] expected an evaluation, got none");
  if (!kept) return evaluations.back();
  const auto found = std::find_if(evaluations.begin(), evaluations.end(),
                                  [&](const EvaluationRecord& e) { return e.update == kept->update; });
  REWARD_TUNER_CHECK(found != evaluations.end(), "[Trainer] expected an evaluation after ", kept->update,
                     " updates, got none");
  return *found;
}

}  // namespace reward_tuner
