// Definitions of judges.hpp.
#pragma once
#include <reward_tuner/run/judges.hpp>

#include <cmath>
#include <cstddef>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::string judge_metric(const std::string& name) { return "judge." + name; }

REWARD_TUNER_INLINE double metric_of(const EvaluationRecord& evaluation, const std::string& name) {
  const auto found = evaluation.metrics.find(name);
  return found == evaluation.metrics.end() ? std::nan("") : found->second;
}

REWARD_TUNER_INLINE double trained_reward(const EvaluationRecord& evaluation, const HeldOutMetrics& metrics) {
  double sum = 0;
  for (const std::string& name : metrics.trained) sum += metric_of(evaluation, name);
  return sum / static_cast<double>(metrics.trained.size());
}

REWARD_TUNER_INLINE std::int64_t evaluations_apart(const std::vector<EvaluationRecord>& evaluations,
                                                   const HeldOutMetrics& metrics) {
  std::int64_t in_a_row = 0;
  for (std::size_t i = evaluations.size(); i > 1; --i, ++in_a_row) {
    const EvaluationRecord& before = evaluations[i - 2];
    const EvaluationRecord& after = evaluations[i - 1];
    std::size_t fell = 0;
    for (const std::string& name : metrics.judges)
      if (metric_of(after, judge_metric(name)) < metric_of(before, judge_metric(name))) ++fell;
    if (!(trained_reward(after, metrics) > trained_reward(before, metrics)) || 2 * fell <= metrics.judges.size()) break;
  }
  return in_a_row;
}

}  // namespace reward_tuner
