// Definitions of best_evaluation.hpp.
#pragma once
#include <reward_tuner/run/best_evaluation.hpp>

#include <cmath>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::optional<BestEvaluation> best_evaluation(const std::vector<EvaluationRecord>& evaluations,
                                                                  const std::string& by,
                                                                  const HeldOutMetrics& metrics) {
  std::optional<BestEvaluation> best;
  for (const EvaluationRecord& evaluation : evaluations) {
    const double value =
        by == kTrainedReward ? trained_reward(evaluation, metrics) : metric_of(evaluation, judge_metric(by));
    if (std::isfinite(value) && (!best || value > best->value)) best = {evaluation.update, value};
  }
  return best;
}

}  // namespace reward_tuner
