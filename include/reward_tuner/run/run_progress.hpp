// The progress of a run: the numbers that a checkpoint's JSON part carries.
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
  std::map<std::string, double> metrics = {}, sentinels = {};
};

/// How far a run has come: what its checkpoints remember beside tensors.
struct RunProgress {
  std::vector<double> rewards = {};                        ///< of every update
  std::vector<EvaluationRecord> evaluations = {};          ///< the first is "before"
  std::int64_t forwards = 0, backwards = 0;                ///< network calls of all updates
  std::int64_t forward_samples = 0, backward_samples = 0;  ///< the same counted a sample at a step
  std::int64_t flops = 0;                                  ///< of these calls (FlopCount)
  std::int64_t images = 0;                                 ///< scored in training: the reward queries
  std::int64_t peak_tensor_bytes = 0;                      ///< highest of all updates
  std::int64_t skipped_updates = 0;                        ///< non-finite ones
  std::int64_t idle_in_a_row = 0;                          ///< latest updates that kept no image
  std::int64_t partly_idle_in_a_row = 0;                   ///< the same of some task at least, if there are several
  std::string idle_reason = {};                            ///< of the latest update; empty if it was not idle
  double tune_seconds = 0, evaluate_seconds = 0;
  double tune_cpu_seconds = 0;  ///< of the whole process, all threads, during updates

  std::int64_t done() const { return static_cast<std::int64_t>(rewards.size()); }

  bool evaluated(std::int64_t update) const;

  void add(const UpdateReport& report);
};

nlohmann::json to_json(const EvaluationRecord& e);

nlohmann::json to_json(const RunProgress& p);

RunProgress run_progress_from_json(const nlohmann::json& json);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/run_progress.ipp>
#endif
