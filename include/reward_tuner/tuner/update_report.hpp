// What one update did, in numbers: returned to the caller, printed, and written a line at a time to metrics.jsonl.
#pragma once
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <map>
#include <numeric>
#include <ostream>
#include <string>
#include <vector>

#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/models/pipeline_flops.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// What an update measured at one trained step. Rates are means over the step's rows, each an image trained on.
struct StepReport {
  std::string task = {};      ///< of a MultiTask
  int step = 0;               ///< k, 0 the noisiest
  std::int64_t rows = 0;      ///< of objectives on log-probabilities, whose rates follow; 0 for others
  double clip_fraction = 0;   ///< share of the rows whose ratio was outside the clip range
  double policy_change = 0;   ///< mean of (log p_theta - log p_old)^2 / 2
  double cotangent_norm = 0;  ///< Euclidean norm of the loss's gradient at the network's guided outputs, over all rows
};

/// Fields of one update. Means are over the batch.
struct UpdateReport {
  std::int64_t update = 0;                        ///< 1 for the first
  double reward = 0;                              ///< mean reward, higher is better
  std::map<std::string, double> components = {};  ///< means of the reward's parts under their own names
  double loss = 0;           ///< what was minimized, the regularizer included; a mean over the update's optimizer steps
  double regularizer = 0;    ///< the regularizer's share of the loss
  double gradient_norm = 0;  ///< Euclidean norm over all trained tensors, before clipping
  /// the same of the step that a regularizer's own loss gets (PretrainingMode::kAlternating, MultiTaskOptions); of a
  /// MultiTask the largest
  double regularizer_gradient_norm = 0;
  StepPlan plan = {};                        ///< trained steps and early stop
  std::int64_t forwards = 0, backwards = 0;  ///< network calls of this update
  /// the same counted a sample at a step, however it was batched
  std::int64_t forward_samples = 0, backward_samples = 0;
  FlopCount flops = {};            ///< arithmetic of these calls, of a pipeline that can tell
  std::int64_t retained = 0;       ///< backwards whose graph the rollout had kept; the others were replays
  std::int64_t images = 0;         ///< images that were scored: the update's reward queries
  std::int64_t failed_scores = 0;  ///< of these, images whose score could not be had: no mean holds them
  TowerCounts towers = {};         ///< batches of images that the rewards' towers saw, and those they were spared
  std::int64_t kept = 0;           ///< images that were trained on; 0 if the update had nothing to learn from
  std::int64_t groups = 0;         ///< of images of one prompt, of methods that learn from samples
  std::int64_t idle_groups = 0;    ///< groups that taught nothing: none of their images had a weight other than 0
  /// share of the groups of several images whose images all have one reward; of a MultiTask the mean over its groups
  double zero_std_ratio = 0;
  std::int64_t optimizer_steps = 0;  ///< steps made, a regularizer's own among them
  /// objectives on log-probabilities: largest |p_theta/p_old - 1| of the first optimizer step, where the weights are
  /// still the sampling ones; what is not 0 is numerical disagreement between rollout and replay. Of a MultiTask the
  /// largest, which shows how far earlier tasks moved the weights that later ones were sampled with
  double ratio_deviation = 0;
  /// mean and largest |log p_theta - log p_old| there: what the trainer's log-probabilities are off the rollout's
  double log_prob_difference = 0, largest_log_prob_difference = 0;
  /// p_theta/p_old over the rows of all optimizer steps, as what follows; of a MultiTask over the rows of all tasks
  double ratio_mean = 0;
  double ratio_std = 0;                ///< its standard deviation over the rows
  double clip_fraction = 0;            ///< share of the rows whose ratio was outside the clip range
  double clip_fraction_low = 0;        ///< share below it
  double clip_fraction_high = 0;       ///< share above it
  double policy_change = 0;            ///< mean of (log p_theta - log p_old)^2 / 2
  std::vector<StepReport> steps = {};  ///< the same and the cotangents of each trained step, ascending; task by task
  std::int64_t peak_tensor_bytes = 0;  ///< highest sum of tensor bytes allocated during the update
  double seconds = 0;                  ///< wall time
  /// of it in each stage; the rest is prompts, choices and optimizer steps; on a card as StageClock says
  StageTimes times = {};
  /// a non-finite reward or gradient ended the update; optimizer steps that a round had made before stay made
  bool skipped = false;
  /// what was not finite; without `skipped`, which tasks of a MultiTask were skipped and why
  std::string skip_reason = {};
  std::string idle_reason = {};      ///< why nothing (of a MultiTask: by which tasks) was trained on; empty if all was
  std::string warning = {};          ///< human-readable; empty if none
  std::int64_t skipped_updates = 0;  ///< how many updates of this tuner were skipped so far
  /// factor on gradients inside a network of float16, for the next update; 1: none. Of a MultiTask the largest
  double gradient_scale = 1;
  std::int64_t gradient_overflows = 0;  ///< how often that factor was lowered so far
};

/// 1e12 multiplications and additions a second of the update's whole time; 0 of a pipeline that cannot tell.
inline double tflop_per_second(const UpdateReport& report) {
  return report.seconds > 0 ? 1e-12 * static_cast<double>(report.flops.total()) / report.seconds : 0.0;
}

/// Rows of all optimizer steps, of objectives on log-probabilities; 0: rates of rows say nothing.
inline std::int64_t policy_rows(const UpdateReport& report) {
  return std::accumulate(report.steps.begin(), report.steps.end(), std::int64_t{0},
                         [](std::int64_t sum, const StepReport& step) { return sum + step.rows; });
}

/// The larger of two numbers; NaN if one is.
inline double largest(double a, double b) { return std::isnan(a) || a >= b ? a : b; }

/// Adds a sentence to a warning or a reason.
inline void add_sentence(std::string& sentences, const std::string& one) {
  sentences += (sentences.empty() ? "" : "; ") + one;
}

inline std::ostream& operator<<(std::ostream& out, const UpdateReport& r) {
  const auto flags = out.flags();
  const auto precision = out.precision();
  out << "update " << r.update << "  reward " << std::fixed << std::setprecision(4) << r.reward;
  for (const auto& [name, value] : r.components) out << "  " << name << ' ' << value;
  out << "  gradient " << std::defaultfloat << r.gradient_norm << "  forwards " << r.forwards << "  backwards "
      << r.backwards;
  if (r.retained > 0) out << " (" << r.retained << " retained)";
  const bool rows = policy_rows(r) > 0;
  // an ordinary update of a direct method keeps all and makes one step
  if (r.images > 0 && (rows || r.kept != r.images || r.optimizer_steps != 1))
    out << "  kept " << r.kept << " of " << r.images << "  optimizer steps " << r.optimizer_steps;
  if (r.towers.shared > 0) out << "  reward towers " << r.towers.computed << " (" << r.towers.shared << " shared)";
  if (r.failed_scores > 0) out << "  without a score " << r.failed_scores << " of " << r.images;
  if (rows) out << "  ratio off by " << r.ratio_deviation << "  clipped " << r.clip_fraction;
  if (r.flops.total() > 0)
    out << "  TFLOP " << 1e-12 * static_cast<double>(r.flops.total()) << " (forward "
        << 1e-12 * static_cast<double>(r.flops.forward) << ", replayed "
        << 1e-12 * static_cast<double>(r.flops.replayed) << ", backward "
        << 1e-12 * static_cast<double>(r.flops.backward) << ") at " << tflop_per_second(r) << " TFLOP/s";
  out << std::fixed << std::setprecision(2) << "  " << r.seconds << " s";
  if (!r.skip_reason.empty()) out << (r.skipped ? "  SKIPPED: " : "  FAILED: ") << r.skip_reason;
  if (!r.idle_reason.empty()) out << "  IDLE: " << r.idle_reason;
  if (!r.warning.empty()) out << "  WARNING: " << r.warning;
  out.flags(flags);
  out.precision(precision);
  return out;
}

}  // namespace reward_tuner
