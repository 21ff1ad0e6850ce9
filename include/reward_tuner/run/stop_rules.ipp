// Definitions of stop_rules.hpp.
#pragma once
#include <reward_tuner/run/stop_rules.hpp>

#include <algorithm>
#include <limits>
#include <numeric>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// Mean of rewards[begin .. begin+count-1].
inline double mean_reward(const std::vector<double>& rewards, std::int64_t begin, std::int64_t count) {
  return std::accumulate(rewards.begin() + begin, rewards.begin() + begin + count, 0.0) / static_cast<double>(count);
}

}  // namespace detail

REWARD_TUNER_INLINE std::optional<RunEnd> run_end(const RunProgress& progress, const TrainerOptions& options,
                                                  const HeldOutMetrics& held_out) {
  if (progress.done() >= options.updates) return RunEnd::kCompleted;
  if (on_plateau(progress.rewards, options.plateau_updates)) return RunEnd::kPlateau;
  if (has_diverged(progress.rewards, options.divergence_drop)) return RunEnd::kDiverged;
  if (options.judges_fall_evaluations > 0 &&
      evaluations_apart(progress.evaluations, held_out) >= options.judges_fall_evaluations)
    return RunEnd::kJudgesFell;
  if (options.minutes > 0 && progress.tune_seconds >= 60 * options.minutes) return RunEnd::kTimeUp;
  if (options.cpu_minutes > 0 && progress.tune_cpu_seconds >= 60 * options.cpu_minutes) return RunEnd::kTimeUp;
  return std::nullopt;
}

REWARD_TUNER_INLINE std::string idle_warning(const RunProgress& progress) {
  constexpr std::int64_t kUpdates = 3;
  const std::string many = std::to_string(kUpdates) + " updates in a row ";
  if (progress.idle_in_a_row == kUpdates)
    return many + "kept no image to train on, so nothing was learned: " + progress.idle_reason;
  if (progress.partly_idle_in_a_row == kUpdates && progress.idle_in_a_row < kUpdates)
    return many + "had a task that kept no image to train on: " + progress.idle_reason;
  return {};
}

REWARD_TUNER_INLINE void check_idle(const RunProgress& progress, const TrainerOptions& options) {
  REWARD_TUNER_CHECK(options.max_idle_in_a_row == 0 || progress.idle_in_a_row < options.max_idle_in_a_row, "[Trainer] ",
                     progress.idle_in_a_row,
                     " updates in a row kept no image to train on, so nothing was learned: ", progress.idle_reason,
                     "; expected rewards that tell the compared images apart: look at the reward, compare more images "
                     "(round.samples_per_prompt, branches, prompts), lower the branching's threshold, or raise "
                     "max_idle_in_a_row, got ",
                     options.max_idle_in_a_row);
}

REWARD_TUNER_INLINE bool on_plateau(const std::vector<double>& rewards, std::int64_t window) {
  const auto done = static_cast<std::int64_t>(rewards.size());
  return window > 0 && done >= 2 * window &&
         detail::mean_reward(rewards, done - window, window) <= detail::mean_reward(rewards, done - 2 * window, window);
}

REWARD_TUNER_INLINE bool has_diverged(const std::vector<double>& rewards, double drop) {
  constexpr std::int64_t kWindow = 10;
  const auto done = static_cast<std::int64_t>(rewards.size());
  if (drop <= 0 || done < kWindow) return false;
  double best = -std::numeric_limits<double>::infinity();
  for (std::int64_t end = kWindow; end <= done; ++end)
    best = std::max(best, detail::mean_reward(rewards, end - kWindow, kWindow));
  return detail::mean_reward(rewards, done - kWindow, kWindow) < best - drop;
}

}  // namespace reward_tuner
