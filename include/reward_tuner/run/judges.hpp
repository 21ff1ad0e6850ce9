// Held-out judges: rewards that are not trained and show whether a rising reward is worth it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/run/run_progress.hpp>

namespace reward_tuner {

/// A reward by which evaluations judge the held-out images. Its mean is the metric judge_metric(name).
struct Judge {
  std::string name;  ///< not empty, and not that of another judge
  AnyReward reward;
};

/// "judge.<name>".
std::string judge_metric(const std::string& name);

/// The metrics of an evaluation that belong side by side.
struct HeldOutMetrics {
  std::vector<std::string> trained = {};  ///< "reward", or of several tasks their names
  std::vector<std::string> judges = {};   ///< names of judges, whose metrics are judge_metric of them
};

/// A metric of an evaluation; NaN if there is none.
double metric_of(const EvaluationRecord& evaluation, const std::string& name);

/// The trained reward of an evaluation, of several tasks the mean of theirs; NaN if one is missing.
double trained_reward(const EvaluationRecord& evaluation, const HeldOutMetrics& metrics);

/// How many of the latest evaluations in a row moved apart: the trained reward (of several tasks their mean) rose and
/// more than half of the judges fell, each compared with the evaluation before. 0 without judges; a metric that is
/// missing or not a number in either of two evaluations neither rose nor fell.
std::int64_t evaluations_apart(const std::vector<EvaluationRecord>& evaluations, const HeldOutMetrics& metrics);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/judges.ipp>
#endif
