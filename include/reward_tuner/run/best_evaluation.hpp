// The evaluation whose weights a run keeps: the best of all by one number.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/run/judges.hpp>
#include <reward_tuner/run/run_progress.hpp>

namespace reward_tuner {

/// What names the trained reward where a judge could be named.
inline constexpr const char* kTrainedReward = "reward";

/// An evaluation by its best number.
struct BestEvaluation {
  std::string by = {};      ///< what it was chosen by: kTrainedReward, or a judge's name
  std::int64_t update = 0;  ///< made after so many updates; 0: no update was better than none
  double value = 0;         ///< of what it was chosen by
  bool operator==(const BestEvaluation&) const = default;
};

/// The evaluation in which a reward was highest, the first of equal ones: the trained one (kTrainedReward; of several
/// tasks the mean of theirs) or a judge's by its name. Nothing if it is a number in none.
std::optional<BestEvaluation> best_evaluation(const std::vector<EvaluationRecord>& evaluations, const std::string& by,
                                              const HeldOutMetrics& metrics);

/// The evaluation that a run's outcome is: the kept one, or without one the last.
/// Errors: no evaluation, or none after the kept one's updates.
const EvaluationRecord& outcome_evaluation(const std::vector<EvaluationRecord>& evaluations,
                                           const std::optional<BestEvaluation>& kept);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/best_evaluation.ipp>
#endif
