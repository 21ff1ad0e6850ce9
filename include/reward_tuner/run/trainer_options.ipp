// Definitions of trainer_options.hpp.
#pragma once
#include <reward_tuner/run/trainer_options.hpp>

#include <cmath>
#include <set>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/run/best_evaluation.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void check_options(const TrainerOptions& o) {
  REWARD_TUNER_CHECK(o.updates >= 1, "[Trainer] updates must be >= 1, got ", o.updates);
  REWARD_TUNER_CHECK(o.planned_updates >= 0, "[Trainer] planned_updates must be >= 0 (0: as updates), got ",
                     o.planned_updates);
  REWARD_TUNER_CHECK(o.batch >= 1, "[Trainer] batch must be >= 1, got ", o.batch);
  check_options(o.learning_rate, "Trainer");
  REWARD_TUNER_CHECK(o.ema_decay >= 0 && o.ema_decay < 1, "[Trainer] ema_decay must be in [0, 1), got ", o.ema_decay);
  REWARD_TUNER_CHECK(o.evaluate_every >= 0, "[Trainer] evaluate_every must be >= 0, got ", o.evaluate_every);
  REWARD_TUNER_CHECK(o.evaluation_batch >= 1, "[Trainer] evaluation_batch must be >= 1, got ", o.evaluation_batch);
  REWARD_TUNER_CHECK(o.images >= 1, "[Trainer] images must be >= 1, got ", o.images);
  REWARD_TUNER_CHECK(o.checkpoint_every >= 0, "[Trainer] checkpoint_every must be >= 0, got ", o.checkpoint_every);
  REWARD_TUNER_CHECK(o.keep_checkpoints >= 1, "[Trainer] keep_checkpoints must be >= 1, got ", o.keep_checkpoints);
  REWARD_TUNER_CHECK(o.minutes >= 0 && std::isfinite(o.minutes), "[Trainer] minutes must be >= 0 (0: no limit), got ",
                     o.minutes);
  REWARD_TUNER_CHECK(o.cpu_minutes >= 0 && std::isfinite(o.cpu_minutes),
                     "[Trainer] cpu_minutes must be >= 0 (0: no limit), got ", o.cpu_minutes);
  REWARD_TUNER_CHECK(o.plateau_updates >= 0, "[Trainer] plateau_updates must be >= 0 (0: never), got ",
                     o.plateau_updates);
  REWARD_TUNER_CHECK(o.divergence_drop >= 0 && std::isfinite(o.divergence_drop),
                     "[Trainer] divergence_drop must be >= 0 (0: never), got ", o.divergence_drop);
  REWARD_TUNER_CHECK(o.peak_tflops >= 0 && std::isfinite(o.peak_tflops),
                     "[Trainer] peak_tflops must be >= 0 (0: unknown), got ", o.peak_tflops);
  std::set<std::string> judges;
  for (const Judge& judge : o.judges)
    REWARD_TUNER_CHECK(!judge.name.empty() && judges.insert(judge.name).second,
                       "[Trainer] judges expected different names, got ",
                       judge.name.empty() ? "an empty one" : "two '" + judge.name + "'");
  REWARD_TUNER_CHECK(o.judges_fall_evaluations >= 0, "[Trainer] judges_fall_evaluations must be >= 0 (0: never), got ",
                     o.judges_fall_evaluations);
  REWARD_TUNER_CHECK(o.judges_fall_evaluations == 0 || !o.judges.empty(),
                     "[Trainer] judges_fall_evaluations expected judges, got none");
  REWARD_TUNER_CHECK(o.judges_fall_evaluations == 0 || o.evaluate_every > 0,
                     "[Trainer] judges_fall_evaluations expected evaluations during the run, evaluate_every >= 1, got ",
                     o.evaluate_every);
  REWARD_TUNER_CHECK(o.keep_best.empty() || o.keep_best == kTrainedReward || judges.contains(o.keep_best),
                     "[Trainer] keep_best expected '", kTrainedReward, "' or the name of a judge, got '", o.keep_best,
                     "'");
  REWARD_TUNER_CHECK(o.keep_best.empty() || o.evaluate_every > 0,
                     "[Trainer] keep_best expected evaluations during the run, evaluate_every >= 1, got ",
                     o.evaluate_every);
  REWARD_TUNER_CHECK(o.max_idle_in_a_row >= 0, "[Trainer] max_idle_in_a_row must be >= 0 (0: never), got ",
                     o.max_idle_in_a_row);
}

REWARD_TUNER_INLINE const char* to_string(RunEnd end) {
  switch (end) {
    case RunEnd::kCompleted:
      return "completed";
    case RunEnd::kTimeUp:
      return "time is up";
    case RunEnd::kPlateau:
      return "the reward rises no more";
    case RunEnd::kDiverged:
      return "the reward fell";
    case RunEnd::kJudgesFell:
      return "the judges fell while the reward rose";
    case RunEnd::kInterrupted:
      return "interrupted";
  }
  return "";
}

}  // namespace reward_tuner
