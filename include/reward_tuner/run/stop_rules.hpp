// The rules that end a run before its last update, or warn that it learns nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/run/judges.hpp>
#include <reward_tuner/run/run_progress.hpp>
#include <reward_tuner/run/trainer_options.hpp>

namespace reward_tuner {

/// Why a run ends before its next update; nothing if it goes on. `held_out`: the metrics of its evaluations.
std::optional<RunEnd> run_end(const RunProgress& progress, const TrainerOptions& options,
                              const HeldOutMetrics& held_out);

/// A sentence at the third update in a row that kept no image, or in which a task of several kept none; else empty.
std::string idle_warning(const RunProgress& progress);

/// Throws when options.max_idle_in_a_row updates in a row kept no image: why, and what to change.
void check_idle(const RunProgress& progress, const TrainerOptions& options);

/// Whether the latest `window` updates were no better than the `window` before them.
bool on_plateau(const std::vector<double>& rewards, std::int64_t window);

/// Whether the mean of the last 10 rewards lies more than `drop` below the best such mean of the run.
bool has_diverged(const std::vector<double>& rewards, double drop);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/stop_rules.ipp>
#endif
