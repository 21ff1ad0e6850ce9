// The progress of a run: the numbers that a checkpoint's JSON part carries, and the rules that end a run early.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// The numbers of one evaluation.
struct EvaluationRecord {
  std::int64_t update = 0;  ///< made after so many updates
  std::map<std::string, double> metrics, sentinels;
};

/// How far a run has come: what its checkpoints remember beside tensors.
struct RunProgress {
  std::vector<double> rewards;                             ///< of every update
  std::vector<EvaluationRecord> evaluations;               ///< the first is "before"
  std::int64_t forwards = 0, backwards = 0;                ///< network calls of all updates
  std::int64_t forward_samples = 0, backward_samples = 0;  ///< the same counted a sample at a step
  std::int64_t images = 0;                                 ///< scored in training: the reward queries
  std::int64_t peak_tensor_bytes = 0;                      ///< highest of all updates
  std::int64_t skipped_updates = 0;                        ///< non-finite ones
  double tune_seconds = 0, evaluate_seconds = 0;
  double tune_cpu_seconds = 0;  ///< of the whole process, all threads, during updates

  std::int64_t done() const { return static_cast<std::int64_t>(rewards.size()); }

  bool evaluated(std::int64_t update) const;

  void add(const UpdateReport& report);
};

nlohmann::json to_json(const EvaluationRecord& e);

nlohmann::json to_json(const RunProgress& p);

RunProgress run_progress_from_json(const nlohmann::json& json);

/// Mean of rewards[begin .. begin+count-1].
double mean_reward(const std::vector<double>& rewards, std::int64_t begin, std::int64_t count);

/// Whether the latest `window` updates were no better than the `window` before them.
bool on_plateau(const std::vector<double>& rewards, std::int64_t window);

/// Whether the mean of the last 10 rewards lies more than `drop` below the best such mean of the run.
bool has_diverged(const std::vector<double>& rewards, double drop);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/run_progress.ipp>
#endif
