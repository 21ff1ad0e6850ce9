// Everything a run writes except weights and checkpoints: logs, images, curves and the final report.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/report/image_grid.hpp>
#include <reward_tuner/report/metrics_log.hpp>
#include <reward_tuner/report/tensorboard.hpp>
#include <reward_tuner/run/best_evaluation.hpp>
#include <reward_tuner/run/judges.hpp>
#include <reward_tuner/run/run_folder.hpp>
#include <reward_tuner/run/run_progress.hpp>
#include <reward_tuner/run/trainer_options.hpp>

namespace reward_tuner {

/// Versions of the software that made a run.
nlohmann::json run_versions();

/// Writes into a run's folder. metrics.jsonl and evaluations.jsonl hold nothing that depends on the clock or the
/// machine's memory, so that a resumed run's lines equal an uninterrupted run's bit for bit; seconds and bytes are in
/// timings.jsonl and TensorBoard.
class RunRecord {
 public:
  /// Opens the logs; on a resume cuts them back to what `progress` holds. A run's last evaluation comes after its last
  /// checkpoint, so evaluations are cut by their own count: one that a killed run wrote and its checkpoint does not
  /// know is made again.
  RunRecord(const RunFolder& folder, const RunProgress& progress, const TrainerOptions& options);

  void add_update(const UpdateReport& r, double learning_rate);

  /// Logs an evaluation and writes images/update-NNNNNN.png with the first images [P,3,H,W].
  void add_evaluation(const EvaluationRecord& record, const Tensor& images, const std::vector<std::string>& prompts);

  void write_before_after(const Tensor& before, const Tensor& after, const std::vector<std::string>& prompts) const;

  /// reward.svg: the reward of every update with its running mean, and the held-out reward; beside it a panel for each
  /// judge. Nothing is written before the first finite value.
  void write_curve(const RunProgress& progress, const std::string& reward, const HeldOutMetrics& held_out) const;

  /// report.json: the summary of a finished run; with judges "held_out" has every evaluation's trained and judging
  /// rewards side by side. `kept`: "after" is that evaluation, which "best" names, not the last.
  void write_report(const RunProgress& p, const RunDescription& description, const HeldOutMetrics& held_out,
                    std::uint64_t seed, const std::optional<BestEvaluation>& kept = {}) const;

 private:
  static GridOptions grid_options(const Tensor& images, std::vector<std::string> rows,
                                  const std::vector<std::string>& prompts);

  std::filesystem::path path_;
  double peak_tflops_;
  MetricsLog metrics_, evaluations_, timings_;
  std::unique_ptr<TensorBoardWriter> board_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/run_record.ipp>
#endif
