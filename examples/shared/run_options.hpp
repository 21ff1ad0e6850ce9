// Options of the Trainer and of the optimizer from the settings.
#pragma once
#include <cstdint>
#include <limits>

#include <reward_tuner/optim/adamw_8bit.hpp>
#include <reward_tuner/run/trainer_options.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

/// Without what the program gives: progress, interruption, evaluation rewards, judges.
inline rt::TrainerOptions trainer_options(const TuneSettings& s) {
  rt::TrainerOptions options;
  options.updates = s.updates;
  options.planned_updates = s.planned_updates;
  options.batch = s.batch;
  options.seed = s.seed;
  options.learning_rate = {.decay = s.lr_schedule, .floor = s.lr_floor, .warm_up = s.lr_warmup};
  options.ema_decay = s.ema;
  options.evaluate_every = s.evaluate_every;
  options.evaluation_batch = s.eval_batch;
  options.images = s.images;
  options.checkpoint_every = s.checkpoint_every;
  options.keep_checkpoints = s.keep_checkpoints;
  options.minutes = s.minutes;
  options.plateau_updates = s.plateau;
  options.divergence_drop = s.divergence;
  options.judges_fall_evaluations = s.stop_when_judges_fall;
  options.keep_best = s.keep_best;
  options.max_idle_in_a_row = s.max_idle;
  options.tensorboard = !s.no_tensorboard;
  options.trace = s.trace;
  options.peak_tflops = s.peak_tflops;
  options.resume = s.resume;
  return options;
}

/// AdamW is AdamW8bit without a tensor that is large enough.
inline rt::AdamW8bitOptions optimizer_options(const TuneSettings& s) {
  rt::AdamW8bitOptions options{
      .learning_rate = s.learning_rate, .beta1 = s.beta1, .beta2 = s.beta2, .weight_decay = s.weight_decay};
  if (s.optimizer == OptimizerName::kAdamW) options.smallest = std::numeric_limits<std::int64_t>::max();
  return options;
}

}  // namespace rt_shared
