// Options of the Trainer, and the names of a run in its reports.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/files/checkpoint.hpp>
#include <reward_tuner/optim/learning_rate.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/run/judges.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// Settings of a run: its length, its evaluations, its checkpoints and when it ends early.
struct TrainerOptions {
  std::int64_t updates = 100;  ///< total updates of the run, including those before a resume
  /// what falling learning rates, growing windows and exploration spans without a length of their own are shares of;
  /// 0: `updates`, and on a resume what the run was begun with, so that other `updates` do not change them
  std::int64_t planned_updates = 0;
  int batch = 8;           ///< prompts per update
  std::uint64_t seed = 0;  ///< of prompts, noise and step selection
  /// of every update; it falls over the planned updates, so that other `updates` on a resume do not change it
  LearningRateSchedule learning_rate = {};
  double ema_decay = 0;  ///< evaluate and save an exponential moving average of the weights; 0 switches it off
  std::int64_t evaluate_every = 0;  ///< updates between evaluations; 0: before the first and after the last only
  /// measured in every evaluation in addition to the standard ones and the tuned reward
  std::vector<EvaluationReward> evaluation_rewards = {};
  /// not trained: every evaluation judges the held-out images by them; report.json and reward.svg show them beside the
  /// tuned reward
  std::vector<Judge> judges = {};
  int evaluation_batch = 16;           ///< images at a time in an evaluation
  int images = 8;                      ///< evaluation pairs shown in images/ and before_after.png
  std::int64_t checkpoint_every = 25;  ///< updates between checkpoints; 0: at the end and at an interruption only
  int keep_checkpoints = 2;            ///< how many of them stay
  /// stop after this many minutes of tuning (earlier parts of the run count, evaluations do not); 0: no limit
  double minutes = 0;
  /// as minutes, but of the process's CPU time: equal work however busy the machine is; 0: no limit
  double cpu_minutes = 0;
  /// stop when the mean reward of this many latest updates is no better than that of as many before; 0: never
  std::int64_t plateau_updates = 0;
  /// stop after this many evaluations in a row in which the tuned reward rose and most judges fell (evaluations_apart);
  /// 0: never
  std::int64_t judges_fall_evaluations = 0;
  /// save the weights of the evaluation in which this reward was highest, instead of the last ones: kTrainedReward or
  /// the name of a judge; empty: the last ones
  std::string keep_best = {};
  double divergence_drop = 0;  ///< stop when the mean reward of 10 updates is this far below its best; 0: never
  /// an error after this many updates in a row that kept no image to train on, those before a resume included; three in
  /// a row are a warning; 0: never
  std::int64_t max_idle_in_a_row = 20;
  /// what the machine can do at best, in 1e12 multiplications and additions a second: logs and the progress bar say
  /// which share of it the networks' calls reach (UpdateReport::flops); 0: unknown
  double peak_tflops = 0;
  /// where to write a trace of the first two updates, in the format of chrome://tracing and Perfetto: their stages and
  /// network calls; empty: nowhere. A run that is resumed after an update leaves the file as it is
  std::filesystem::path trace = {};
  bool tensorboard = true;                 ///< write TensorBoard event files into the run's folder
  bool resume = false;                     ///< go on from the newest checkpoint of the folder
  std::ostream* progress = nullptr;        ///< where the progress bar goes; nullptr: nowhere
  std::function<bool()> interrupted = {};  ///< asked after every update; true saves a checkpoint and ends the run
  std::function<void(const UpdateReport&)> on_update = {};  ///< called after every update
  std::function<void(SaveStage)> on_save = {};  ///< called at the stages of every checkpoint (tests die here)
};
REWARD_TUNER_FIELDS(TrainerOptions, updates, planned_updates, batch, seed, learning_rate, ema_decay, evaluate_every,
                    evaluation_rewards, judges, evaluation_batch, images, checkpoint_every, keep_checkpoints, minutes,
                    cpu_minutes, plateau_updates, judges_fall_evaluations, keep_best, divergence_drop,
                    max_idle_in_a_row, peak_tflops, trace, tensorboard, resume, progress, interrupted, on_update,
                    on_save);

void check_options(const TrainerOptions& o);

/// What the reports say about a run beyond its options, which the Trainer writes and compares itself: its own, the
/// tuner's and the optimizer's.
struct RunDescription {
  std::string method = {};  ///< "drtune"; empty: the tuner's objective
  std::string reward = {};  ///< empty: the reward's own name
  std::string model = {};   ///< the model's folder
  /// what decides the numbers beyond those options, as how the reward was made: a resume with other values is refused
  nlohmann::json options = nlohmann::json::object();
  nlohmann::json notes = nlohmann::json::object();  ///< options that do not (threads, ...): written to config.json only
};

/// Why a run ended.
enum class RunEnd { kCompleted, kTimeUp, kPlateau, kDiverged, kJudgesFell, kInterrupted };

const char* to_string(RunEnd end);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/trainer_options.ipp>
#endif
