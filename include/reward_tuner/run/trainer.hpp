// The loop around a tuner: prompts, updates, evaluation, logs, checkpoints, resume and orderly ends.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/files/checkpoint.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/optim/ema.hpp>
#include <reward_tuner/optim/learning_rate.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/report/progress_bar.hpp>
#include <reward_tuner/run/best_evaluation.hpp>
#include <reward_tuner/run/evaluation_rewards.hpp>
#include <reward_tuner/run/judges.hpp>
#include <reward_tuner/run/kept_weights.hpp>
#include <reward_tuner/run/metric_names.hpp>
#include <reward_tuner/run/options_json.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/run/rank_agreement.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>
#include <reward_tuner/run/run_record.hpp>
#include <reward_tuner/run/run_state.hpp>
#include <reward_tuner/run/stop_rules.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/run/update_line.hpp>
#include <reward_tuner/run/update_trace.hpp>
#include <reward_tuner/tuner/reward_tuner.hpp>  // IWYU pragma: export

namespace reward_tuner {

/// The outcome of a run.
struct TrainingOutcome {
  RunEnd end = RunEnd::kCompleted;
  RunProgress progress;
  std::optional<BestEvaluation> kept = {};  ///< whose weights were saved; with options.keep_best alone
};

/// What a run trains and reports on, and where.
struct TrainingRun {
  std::filesystem::path folder;          ///< new or empty, or with options.resume one that holds a checkpoint
  TrainedWeights weights;                ///< what the optimizer holds, by name
  std::vector<EvaluationPair> held_out;  ///< at least one
  RunDescription description = {};       ///< what the reports say beyond the options
  /// the processes that make the run together; all of them see the folder, the first one writes into it
  Ranks ranks = {};
};

/// Runs a tuner in a folder. On the CPU with an equal number of threads a run that was killed and resumed equals an
/// uninterrupted one bit for bit: parameters, moments, averages, random stream, metrics.jsonl and evaluations.jsonl. So
/// does one of several ranks, with any other number before and after a resume.
/// Example: Trainer trainer(tuner, pipeline, optimizer, prompts,
///                          {.folder = "runs/mine", .weights = trained_weights(lora),
///                           .held_out = evaluation_pairs(held_out, 4)}, {.updates = 100});
///          trainer.run();
template <class Tuner, DiffusionPipeline Pipeline, Optimizer Optim, class Prompts = PromptSet>
class Trainer {
  static_assert(
      ResumableOptimizer<Optim>,
      "[Trainer] needs an optimizer whose state checkpoints can hold: std::map<std::string, Tensor> state() "
      "const and load_state of such a map, as AdamW of this library; torch::optim's have neither and train in "
      "a loop of your own by tuner.update");

 public:
  /// Everything given by reference must outlive the trainer. Opens the run's folder.
  /// Errors: options out of range, rounds that can teach nothing, folder not empty or not writable, nothing to resume,
  /// a resume with other options (which are listed), ranks that were started with different ones or other weights.
  Trainer(Tuner& tuner, Pipeline& pipeline, Optim& optimizer, Prompts prompts, TrainingRun run,
          TrainerOptions options = {})
      : tuner_(tuner),
        pipeline_(pipeline),
        optimizer_(optimizer),
        weights_(std::move(run.weights)),
        prompts_(std::move(prompts)),
        held_out_(std::move(run.held_out)),
        description_(std::move(run.description)),
        ranks_(std::move(run.ranks)),
        options_(checked(std::move(options), ranks_)),
        folder_(opened(run.folder)),
        checkpoints_(run.folder / "checkpoints", options_.keep_checkpoints),
        rng_(options_.seed) {
    REWARD_TUNER_CHECK(!held_out_.empty(), "[Trainer] expected at least one held-out (prompt, seed) pair, got none");
    if constexpr (ScheduledOptimizer<Optim>) {
      optimizer_.scale_learning_rate(1);
      learning_rate_ = optimizer_.learning_rate();
    }
    REWARD_TUNER_CHECK(ScheduledOptimizer<Optim> || constant(options_.learning_rate),
                       "[Trainer] a learning_rate that changes needs an optimizer with scale_learning_rate and "
                       "learning_rate, got one without");
    if (options_.ema_decay > 0)
      ema_ = std::make_unique<Ema>(weights_.tensors(), EmaOptions{.decay = options_.ema_decay});
    describe();
    join_ranks();
    if (options_.resume) resume();
    tuner_.plan(planned());
    rewards_ = standard_evaluation_rewards(pipeline_);
    for (const auto& own : {options_.evaluation_rewards, tuned_rewards()})
      for (const EvaluationReward& r : own)
        rewards_.push_back({r.name, with_clip(r.reward, pipeline_), r.components_only});
    for (const EvaluationReward& tuned : tuned_rewards()) held_out_metrics_.trained.push_back(tuned.name);
    for (const Judge& judge : options_.judges) {
      rewards_.push_back({judge_metric(judge.name), with_clip(judge.reward, pipeline_)});
      held_out_metrics_.judges.push_back(judge.name);
    }
    const MetricNames refuses_two_of_one_name(rewards_);
    if (!ranks_.first()) return;
    begin_trace();
    // from here on the folder is not empty
    record_ = std::make_unique<RunRecord>(*folder_, progress_, options_);
    write_json(*folder_ / "config.json", run_config(description_, options_, fingerprint_));
  }

  /// Trains until the updates are done, a limit is reached or options.interrupted says so. An interrupted run has a
  /// checkpoint and can be resumed; any other end evaluates once more and writes the report and the weights.
  TrainingOutcome run() {
    std::optional<ProgressBar> bar;
    if (options_.progress != nullptr && progress_.done() <= options_.updates)
      bar.emplace(*options_.progress, options_.updates, ProgressOptions{.already_done = progress_.done()});
    const RunEnd end = loop(bar);
    if (bar) bar->finish();
    const bool evaluated = end != RunEnd::kInterrupted && evaluate_now();
    const std::optional<BestEvaluation> kept = best();
    save();
    save_weights();
    if (record_) {
      record_->write_curve(progress_, description_.reward, held_out_metrics_);
      if (evaluated) {
        record_->write_before_after(before_, best_.empty() ? latest_ : best_.images, shown_prompts());
        record_->write_report(progress_, description_, held_out_metrics_, options_.seed, kept);
      }
    }
    ranks_.any(false);  // none ends before everything is written
    return {evaluated ? end : RunEnd::kInterrupted, progress_, kept};
  }

  const RunProgress& progress() const { return progress_; }
  /// What a user should know: a sentence for each policy whose options a resume cannot compare, and for each checkpoint
  /// that could not be used. Also written to options.progress.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  /// The rewards the run is about: the tuner's, or each task's under its name.
  std::vector<EvaluationReward> tuned_rewards() const {
    if constexpr (requires { tuner_.evaluation_rewards(); }) return tuner_.evaluation_rewards();
    else return {{"reward", as_any_reward(tuner_.reward())}};
  }
  /// The run's folder, on the first rank; a run that can teach nothing gets none. Its first prompts are drawn from
  /// copies: nothing moves.
  std::optional<RunFolder> opened(const std::filesystem::path& folder) const {
    if (!options_.resume) {
      Prompts prompts = prompts_;
      Rng rng(options_.seed);
      tuner_.check_round(prompts.draw(options_.batch, rng));
    }
    if (!ranks_.first()) return std::nullopt;
    return options_.resume ? RunFolder::reopen(folder) : RunFolder::create(folder);
  }
  /// Gives the tuner to all ranks, if they have one run before them.
  void join_ranks() {
    if constexpr (requires { tuner_.join(ranks_); }) tuner_.join(ranks_);
    else
      REWARD_TUNER_CHECK(ranks_.alone(), "[Trainer] several ranks expected a tuner with join(Ranks), got one without");
    check_same_run(ranks_, fingerprint_, weights_);
  }
  void note(const std::string& sentence) {
    notes_.push_back(sentence);
    if (options_.progress != nullptr) *options_.progress << "note: " << sentence << '\n';
  }
  /// Before the run's first update: a resumed run has no first ones.
  void begin_trace() {
    if (options_.trace.empty()) return;
    if (progress_.done() == 0) trace_.emplace(options_.trace);
    else
      note("a trace is of a run's first two updates, which a resumed run does not make: nothing is written to '" +
           options_.trace.string() + "'");
  }
  /// Fills the fingerprint, and what the description leaves open.
  void describe() {
    const nlohmann::json tuner = tuner_json(tuner_);
    if (description_.method.empty()) description_.method = tuner_title(tuner);
    if (description_.reward.empty()) description_.reward = reward_title(tuner);
    fingerprint_ =
        run_fingerprint(description_, options_, learning_rate_, prompt_identity(prompts_), held_out_, weights_);
    fingerprint_["learning_rate_schedule"] = options_json(options_.learning_rate);
    fingerprint_["tuner"] = tuner;
    if constexpr (requires { optimizer_.options(); }) {
      fingerprint_["optimizer"] = options_json(optimizer_.options());
      if constexpr (ScheduledOptimizer<Optim>)
        if (fingerprint_["optimizer"].is_object()) fingerprint_["optimizer"].erase("learning_rate");  // named above
    }
    for (const auto& policy : not_covered(tuner))
      note("a resume cannot tell whether options of the policy " + policy +
           " changed: REWARD_TUNER_FIELDS below them makes it compare them");
  }
  /// Updates of the whole run, on a resume as it was begun.
  std::int64_t planned() const { return fingerprint_.at("planned_updates").template get<std::int64_t>(); }
  static bool constant(const LearningRateSchedule& schedule) {
    return schedule.decay == LearningRateDecay::kConstant && schedule.warm_up == 0;
  }
  static TrainerOptions checked(TrainerOptions options, const Ranks& ranks) {
    check_options(options);
    if (!ranks.first()) options.progress = nullptr;
    return options;
  }
  /// Whether the prompts have a position that checkpoints must hold; a type that is list or stream as the program runs
  /// says so by streamed().
  bool have_position() const {
    if constexpr (requires { prompts_.streamed(); }) return prompts_.streamed();
    else return true;
  }
  bool interrupted() const { return ranks_.any(options_.interrupted && options_.interrupted()); }
  std::int64_t shown() const {
    return std::min<std::int64_t>(options_.images, static_cast<std::int64_t>(held_out_.size()));
  }
  std::vector<std::string> shown_prompts() const {
    std::vector<std::string> prompts;
    for (std::int64_t i = 0; i < shown(); ++i) prompts.push_back(held_out_[static_cast<std::size_t>(i)].prompt);
    return prompts;
  }

  RunEnd loop(std::optional<ProgressBar>& bar) {
    for (;;) {
      const std::int64_t done = progress_.done();
      const bool evaluation_due = done == 0 || (options_.evaluate_every > 0 && done % options_.evaluate_every == 0);
      if (evaluation_due && !progress_.evaluated(done) && !evaluate_now()) return RunEnd::kInterrupted;
      if (options_.checkpoint_every > 0 && done % options_.checkpoint_every == 0) save();
      refuse_idling();
      if (const auto end = run_end(progress_, options_, held_out_metrics_)) return *end;
      if (interrupted()) return RunEnd::kInterrupted;
      update(bar);
    }
  }

  /// A run that learns nothing ends with an error; what it has learned before is kept.
  void refuse_idling() {
    try {
      check_idle(progress_, options_);
    } catch (...) {
      save();
      save_weights();
      throw;
    }
  }

  void update(std::optional<ProgressBar>& bar) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu_begin = std::clock();  // all threads of the process
    double rate = 0;
    if constexpr (ScheduledOptimizer<Optim>) {
      optimizer_.scale_learning_rate(learning_rate_factor(options_.learning_rate, progress_.done(), planned()));
      rate = optimizer_.learning_rate();
    }
    const std::vector<std::string> prompts = prompts_.draw(options_.batch, rng_);
    const auto own_update = [&] { return tuner_.update(pipeline_, optimizer_, prompts, rng_); };
    UpdateReport report = trace_ ? (*trace_)(options_.batch, own_update) : own_update();
    optimizer_.zero_grad();  // evaluations and checkpoints do without the gradients' memory
    if (ema_ && !report.skipped) ema_->update();
    progress_.add(report);
    if (const std::string idle = idle_warning(progress_); !idle.empty()) add_sentence(report.warning, idle);
    if (record_) record_->add_update(report, rate);
    // limits of time end the run on all ranks at once
    progress_.tune_seconds +=
        ranks_.firsts(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    progress_.tune_cpu_seconds += ranks_.firsts(static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC);
    if (bar) show_update(*bar, progress_.done(), report, options_.peak_tflops);
    if (options_.on_update) options_.on_update(report);
  }

  std::optional<BestEvaluation> best() const {
    if (options_.keep_best.empty()) return std::nullopt;
    return best_evaluation(progress_.evaluations, options_.keep_best, held_out_metrics_);
  }

  /// Keeps the weights that were just evaluated if that was the best evaluation; the first rank, which saves them.
  void keep_best() {
    if (!ranks_.first()) return;
    const auto now = best();
    if (!now || now->update != progress_.done()) return;
    averaged([&] { best_.keep(weights_, latest_); });
  }

  /// Calls `f` while the averaged weights stand in for the trained ones, if an average is kept.
  template <class F>
  auto averaged(F f) {
    if (!ema_ || ema_->updates() == 0) return f();
    const auto scope = ema_->swap_in();
    return f();
  }

  /// Evaluates the present weights (their average, if there is one) unless that is done already. False if interrupted.
  bool evaluate_now() {
    const std::int64_t done = progress_.done();
    if (progress_.evaluated(done) && latest_.defined()) return true;
    const auto result = averaged([&] {
      return evaluate(pipeline_, tuner_.sampler(), held_out_, rewards_,
                      {.batch = options_.evaluation_batch, .interrupted = options_.interrupted, .ranks = ranks_});
    });
    if (!result) return false;
    latest_ = result->images.narrow(0, 0, shown()).clone();  // [P,3,H,W]
    if (done == 0) before_ = latest_;
    if (progress_.evaluated(done)) return true;  // a resumed run only needed the images again
    progress_.evaluate_seconds += result->seconds;
    progress_.evaluations.push_back({done, result->metrics, result->sentinels});
    keep_best();
    if (record_) record_->add_evaluation(progress_.evaluations.back(), latest_, shown_prompts());
    return true;
  }

  void save_weights() {
    if (!weights_.save || !ranks_.first()) return;
    if (best_.empty()) return averaged([&] { weights_.save(folder_->path()); });
    best_.save(weights_, folder_->path());
  }

  /// Unless this run has a checkpoint of this update already. All ranks call it: an optimizer's state can be divided
  /// among them.
  void save() {
    if (!ranks_.any(ranks_.first() && saved_ != progress_.done())) return;
    std::map<std::string, Tensor> moments = optimizer_.state();
    if (!ranks_.first()) return;
    RunState state{.optimizer = std::move(moments),
                   .best = best_,
                   .rng = rng_.state(),
                   .images_before = before_,
                   .tuner = tuner_.state(),
                   .progress = progress_,
                   .fingerprint = fingerprint_};
    for (const auto& [name, value] : weights_.named) state.parameters.emplace(name, value.detach());
    if (ema_) state.average = ema_->state();
    if constexpr (requires { prompts_.state(); })
      if (have_position()) state.prompts = {prompts_.state().epoch, prompts_.state().position};
    checkpoints_.save(progress_.done(), to_checkpoint(state), options_.on_save);
    saved_ = progress_.done();
  }

  void resume() {
    bool streamed = false;
    if constexpr (requires { prompts_.state(); }) streamed = have_position();
    RunState saved;
    // everything is understood before anything is touched
    const auto found =
        checkpoints_.load_newest([&](const Checkpoint& checkpoint) { saved = run_state(checkpoint, streamed); });
    std::string reasons;
    for (const auto& sentence : found.notes) reasons += "; " + sentence;
    REWARD_TUNER_CHECK(found.update.has_value(),
                       "[Trainer] expected a checkpoint to resume from, got no usable one in '",
                       checkpoints_.folder().string(), "'", reasons);
    const auto path = checkpoints_.path(*found.update);
    if (options_.planned_updates == 0)
      fingerprint_["planned_updates"] = saved.fingerprint.at("planned_updates");  // as the run was begun
    check_fingerprint(saved.fingerprint, fingerprint_, path);
    check_fits(saved, weights_, rng_.state(), path);
    check_same_checkpoint(ranks_, *found.update, checkpoints_.folder());  // from here on nobody reads any
    if (ranks_.first())
      for (const auto update : found.broken) checkpoints_.set_aside(update);
    for (const auto& sentence : found.notes) note(sentence);
    const torch::NoGradGuard no_grad;
    optimizer_.load_state(saved.optimizer);
    if (ema_) ema_->load_state(saved.average);
    for (auto& [name, value] : weights_.named) value.copy_(saved.parameters.at(name));
    rng_.set_state(saved.rng.clone());
    // absent if the first evaluation was interrupted
    if (saved.images_before.defined()) before_ = saved.images_before.clone();
    if (!saved.best.empty() && ranks_.first()) best_.keep(saved.best, weights_);
    if constexpr (requires { prompts_.state(); }) {
      const PromptStreamState position = saved.prompts.value_or(PromptStreamState());
      prompts_.load_state({position.epoch, position.position});
    }
    tuner_.load_state(saved.tuner);
    progress_ = std::move(saved.progress);
    saved_ = found.update;
  }

  Tuner& tuner_;
  Pipeline& pipeline_;
  Optim& optimizer_;
  TrainedWeights weights_;
  Prompts prompts_;
  std::vector<EvaluationPair> held_out_;
  RunDescription description_;
  Ranks ranks_;
  TrainerOptions options_;
  std::optional<RunFolder> folder_;  // of the first rank
  CheckpointFolder checkpoints_;
  Rng rng_;
  double learning_rate_ = 0;
  std::unique_ptr<Ema> ema_;
  nlohmann::json fingerprint_;
  RunProgress progress_;
  std::vector<std::string> notes_;
  std::unique_ptr<RunRecord> record_;  // of the first rank
  std::vector<EvaluationReward> rewards_;
  HeldOutMetrics held_out_metrics_;
  std::optional<std::int64_t> saved_;  // the checkpoint that was written or read last
  KeptWeights best_;                   // of the best evaluation, as options.keep_best has it
  Tensor before_, latest_;             // [P,3,H,W] images of the first pairs
  std::optional<UpdateTrace> trace_;   // of the first rank
};

}  // namespace reward_tuner
