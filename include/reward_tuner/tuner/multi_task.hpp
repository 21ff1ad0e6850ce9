// Several tasks on one model: each a tuner with its own reward, prompts and advantages; all are sampled before any is
// trained.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/tuner/reward_tuner.hpp>  // IWYU pragma: export
#include <reward_tuner/tuner/task_reports.hpp>

namespace reward_tuner {

/// Marks a task without prompts of its own.
struct GivenPrompts {};

/// One task. Its prompts: a PromptSet or PromptStream, or GivenPrompts for those that the update is given.
template <class Tuner, class Prompts>
struct Task {
  std::string name;      ///< in reports; not empty, different for each task
  Tuner tuner;           ///< any RewardTuner; one that learns from samples takes part in sampling first
  Prompts prompts = {};  ///< where its prompts come from
  int batch = 0;         ///< prompts per update; 0: as many as the update is given
};

/// Example: `task("parity", make<LSRL>(HueParityReward()), PromptSet::from_file("parity.txt"), 4)`.
template <class Tuner, class Prompts = GivenPrompts>
Task<Tuner, Prompts> task(std::string name, Tuner tuner, Prompts prompts = {}, int batch = 0) {
  return {std::move(name), std::move(tuner), std::move(prompts), batch};
}

struct MultiTaskOptions {
  /// sample every task from the same weights before any is trained (large-scale RL paper, section 3.3); false: task by
  /// task (its Alg. 1)
  bool sample_all_first = true;
  /// after the tasks, with an optimizer step of its own whatever its mode says; off without images
  PretrainingLossOptions pretraining = {};
  double gradient_clip = 1;  ///< of that step; 0: no clipping (as of the tasks' steps)
};
REWARD_TUNER_FIELDS(MultiTaskOptions, sample_all_first, pretraining, gradient_clip);

inline void check_options(const MultiTaskOptions& o) {
  REWARD_TUNER_CHECK(o.gradient_clip >= 0 && std::isfinite(o.gradient_clip),
                     "[MultiTask] gradient_clip must be >= 0 (0: no clipping), got ", o.gradient_clip);
  const PretrainingLoss checked(o.pretraining);
}

namespace detail {

/// Tasks of different types, or any number of one type: both are visited in order.
template <class... Tasks, class F>
void visit_tasks(std::tuple<Tasks...>& tasks, F f) {
  std::apply([&](auto&... t) { (f(t), ...); }, tasks);
}
template <class... Tasks, class F>
void visit_tasks(const std::tuple<Tasks...>& tasks, F f) {
  std::apply([&](const auto&... t) { (f(t), ...); }, tasks);
}
template <class Task, class F>
void visit_tasks(std::vector<Task>& tasks, F f) {
  for (auto& t : tasks) f(t);
}
template <class Task, class F>
void visit_tasks(const std::vector<Task>& tasks, F f) {
  for (const auto& t : tasks) f(t);
}
template <class... Tasks>
const auto& first_task(const std::tuple<Tasks...>& tasks) {
  return std::get<0>(tasks);
}
template <class Task>
const Task& first_task(const std::vector<Task>& tasks) {
  return tasks.front();
}

/// What MultiTask and TaskList are, over a tuple or a vector of tasks.
template <class Tasks>
class JointTasks {
 public:
  JointTasks(MultiTaskOptions options, Tasks tasks)
      : options_(std::move(options)), pretraining_(options_.pretraining), tasks_(std::move(tasks)) {
    std::vector<std::string> names;
    each([&](const auto& t) {
      REWARD_TUNER_CHECK(!t.name.empty() && std::find(names.begin(), names.end(), t.name) == names.end(),
                         "[MultiTask] expected tasks of different names, got '", t.name, "' as number ",
                         names.size() + 1);
      REWARD_TUNER_CHECK(t.batch >= 0, "[MultiTask] batch of the task ", t.name,
                         " must be >= 0 (0: as many as the update is given), got ", t.batch);
      names.push_back(t.name);
    });
    count_ = names.size();
    REWARD_TUNER_CHECK(count_ > 0, "[MultiTask] expected at least one task, got none");
    check_options(options_);
  }

  /// One iteration over all tasks. `prompts`: for the tasks without their own.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport update(Pipeline& pipeline, Optim& optimizer, const std::vector<std::string>& prompts, Rng& rng) {
    check_pretraining<Pipeline>();
    UpdateReport report;
    report.update = updates_ + 1;
    std::size_t done = 0, skipped = 0;
    const auto finish = [&](auto& t, Begun begun) {
      if (auto* round = std::get_if<Round>(&begun)) round->weights_moved = options_.sample_all_first && done > 0;
      const UpdateReport own = end(t, pipeline, optimizer, std::move(begun), rng);
      ++done;
      if (own.skipped) ++skipped;
      add_task_report(report, t.name, own, 1.0 / static_cast<double>(count_));
    };
    if (options_.sample_all_first) {
      std::vector<Begun> begun;
      visit_tasks(tasks_, [&](auto& t) { begun.push_back(begin(t, pipeline, prompts, rng)); });
      visit_tasks(tasks_, [&](auto& t) { finish(t, std::move(begun[done])); });
    } else {
      visit_tasks(tasks_, [&](auto& t) { finish(t, begin(t, pipeline, prompts, rng)); });
    }
    ++updates_;
    // a round that failed after an optimizer step has moved the weights
    report.skipped = skipped == count_ && report.optimizer_steps == 0;
    if (!report.skipped) pretrain(pipeline, optimizer, rng, report);
    return report;
  }

  /// RewardTuner::plan of every task, which all take part in every update.
  void plan(std::int64_t updates) {
    visit_tasks(tasks_, [&](auto& t) { t.tuner.plan(updates); });
  }

  /// RewardTuner::join of every task. The pre-training loss each rank computes for itself.
  void join(Ranks ranks) {
    visit_tasks(tasks_, [&](auto& t) { t.tuner.join(ranks); });
    ranks_ = std::move(ranks);
  }

  /// RewardTuner::check_round of every task, with its own prompts where it has them. Draws from copies: nothing moves.
  void check_round(const std::vector<std::string>& prompts) const {
    each([&](const auto& t) {
      auto copy = t;
      Rng rng(0);
      try {
        t.tuner.check_round(draw(copy, prompts, rng));
      } catch (const Error& problem) {
        detail::fail("[MultiTask] task ", t.name, ": ", problem.what());
      }
    });
  }

  /// The state of every task, in order.
  TunerState state() const {
    TunerState out;
    out.updates = updates_;
    out.gradient_scale = scale_;
    each([&](const auto& t) {
      out.tasks.push_back(t.tuner.state());
      if constexpr (requires { t.prompts.state(); })
        out.tasks.back().prompt_position = {t.prompts.state().epoch, t.prompts.state().position};
      out.skipped += out.tasks.back().skipped;
    });
    return out;
  }
  void load_state(const TunerState& state) {
    REWARD_TUNER_CHECK(state.tasks.size() == count_, "[MultiTask] state expected ", count_, " tasks, got ",
                       state.tasks.size());
    updates_ = state.updates;
    scale_ = state.gradient_scale;
    std::size_t i = 0;
    visit_tasks(tasks_, [&](auto& t) {
      const TunerState& own = state.tasks[i++];
      t.tuner.load_state(own);
      if constexpr (requires { t.prompts.state(); }) {
        REWARD_TUNER_CHECK(own.prompt_position.size() == 2, "[MultiTask] state of the task ", t.name,
                           " expected the position of its prompt stream, got none");
        t.prompts.load_state({own.prompt_position[0], own.prompt_position[1]});
      }
    });
  }

  /// Reported by evaluations in addition to the standard metrics: each task's reward under its name.
  std::vector<EvaluationReward> evaluation_rewards() const {
    std::vector<EvaluationReward> out;
    each([&](const auto& t) { out.push_back({t.name, as_any_reward(t.tuner.reward())}); });
    return out;
  }
  /// Evaluations sample as the first task does.
  const auto& sampler() const { return first_task(tasks_).tuner.sampler(); }
  const MultiTaskOptions& options() const { return options_; }
  /// Visits each task, in order.
  template <class F>
  void each(F f) const {
    visit_tasks(tasks_, f);
  }

 private:
  template <class T>
  static std::vector<std::string> draw(T& t, const std::vector<std::string>& given, Rng& rng) {
    if constexpr (std::same_as<decltype(t.prompts), GivenPrompts>) {
      if (t.batch == 0 || t.batch >= static_cast<int>(given.size())) return given;
      return {given.begin(), given.begin() + t.batch};
    } else {
      return t.prompts.draw(t.batch > 0 ? t.batch : static_cast<int>(given.size()), rng);
    }
  }

  /// A task's half-done update: its round, or its prompts if it does not learn from samples.
  using Begun = std::variant<std::vector<std::string>, Round>;
  template <class T, DiffusionPipeline Pipeline>
  static Begun begin(T& t, Pipeline& pipeline, const std::vector<std::string>& given, Rng& rng) {
    auto prompts = draw(t, given, rng);
    if constexpr (requires { t.tuner.sample(pipeline, prompts, rng); }) return t.tuner.sample(pipeline, prompts, rng);
    else return prompts;
  }
  template <class T, DiffusionPipeline Pipeline, Optimizer Optim>
  static UpdateReport end(T& t, Pipeline& pipeline, Optim& optimizer, Begun begun, Rng& rng) {
    if constexpr (requires { t.tuner.train(pipeline, optimizer, std::get<Round>(std::move(begun)), rng); })
      return t.tuner.train(pipeline, optimizer, std::get<Round>(std::move(begun)), rng);
    else return t.tuner.update(pipeline, optimizer, std::get<std::vector<std::string>>(begun), rng);
  }

  template <DiffusionPipeline Pipeline>
  static constexpr bool kEncodesImages = requires(Pipeline& p, const Tensor& images) { p.encode_images(images); };

  template <DiffusionPipeline Pipeline>
  void check_pretraining() const {
    REWARD_TUNER_CHECK(kEncodesImages<Pipeline> || !options_.pretraining.images,
                       "[MultiTask] pretraining needs a pipeline with Tensor encode_images(const Tensor& images), and "
                       "this one has none");
  }

  template <DiffusionPipeline Pipeline, Optimizer Optim>
  void pretrain([[maybe_unused]] Pipeline& pipeline, [[maybe_unused]] Optim& optimizer, [[maybe_unused]] Rng& rng,
                [[maybe_unused]] UpdateReport& report) {
    if constexpr (kEncodesImages<Pipeline>) {
      if (!options_.pretraining.images) return;
      NetworkCounts counts;
      optimizer.zero_grad();
      const UpdateMeter meter;
      const EngineOptions engine = {};
      if (network_dtype(pipeline) == at::kHalf) scale_.begin(engine.gradient_scale);
      ConfiguredPipeline<Pipeline> scaled(pipeline, engine, scale_);
      try {
        if (!accumulate_own_loss(pretraining_, scaled, rng, counts, report)) return;
      } catch (const std::exception& problem) {
        optimizer.zero_grad();
        if (!is_out_of_memory(problem)) throw;
        std::vector<std::string> less = memory_switches(pipeline);
        if (const int batch = options_.pretraining.batch; batch > 1)
          less.insert(less.begin(), "pretraining.batch below " + std::to_string(batch));
        for (const std::string& other : memory_switches(optimizer)) less.push_back(other);
        fail_of_memory(report, meter.memory().peak_bytes(), less, problem.what());
      }
      own_optimizer_step(optimizer, options_.gradient_clip, scale_, engine.gradient_scale_growth,
                         "the gradient of the pre-training loss is not finite; the tasks' steps were made", report);
      optimizer.zero_grad();
      add_counts(report, counts);
      report.flops.add(of_all_ranks(ranks_, scaled.flops()));
      meter.write(report);
      report.gradient_scale = std::max(report.gradient_scale, scale_.factor());
      report.gradient_overflows += scale_.overflows;
    }
  }

  MultiTaskOptions options_;
  PretrainingLoss pretraining_;
  Tasks tasks_;
  std::size_t count_ = 0;
  std::int64_t updates_ = 0;
  Ranks ranks_ = {};
  GradientScale scale_ = {};  // of the pre-training loss
};

}  // namespace detail

/// Joint training (large-scale RL paper, Alg. 1 and section 3.3): an update samples a round of every task, trains them
/// one after another, each with the log-probabilities of its sampling, and then minimizes the pre-training loss.
/// Rewards have no weights: each task's advantage is normalized within the task. Stands wherever a RewardTuner stands.
/// Reports: reward is the mean of the tasks' rewards; components "<task>.reward" and "<task>.<component>"; counts are
/// sums. An update is skipped if every task's was and no weight moved: then nothing is pre-trained either. A task that
/// was skipped alone is named in skip_reason.
/// Errors: no task, names empty or equal, a batch below 0.
template <class... Tasks>
class MultiTask : public detail::JointTasks<std::tuple<Tasks...>> {
  static_assert(sizeof...(Tasks) > 0, "[MultiTask] needs at least one task");

 public:
  explicit MultiTask(MultiTaskOptions options, Tasks... tasks)
      : detail::JointTasks<std::tuple<Tasks...>>(std::move(options), {std::move(tasks)...}) {}
};

/// The same for any number of tasks of one type, known at run time only: what a program reads from a file.
template <class Tuner, class Prompts = GivenPrompts>
class TaskList : public detail::JointTasks<std::vector<Task<Tuner, Prompts>>> {
 public:
  TaskList(MultiTaskOptions options, std::vector<Task<Tuner, Prompts>> tasks)
      : detail::JointTasks<std::vector<Task<Tuner, Prompts>>>(std::move(options), std::move(tasks)) {}
};

/// Example: `multi_task({}, task("parity", ...), task("objects", ...))`.
template <class... Tasks>
MultiTask<Tasks...> multi_task(MultiTaskOptions options, Tasks... tasks) {
  return MultiTask<Tasks...>(std::move(options), std::move(tasks)...);
}
template <class Tuner, class Prompts>
TaskList<Tuner, Prompts> multi_task(MultiTaskOptions options, std::vector<Task<Tuner, Prompts>> tasks) {
  return TaskList<Tuner, Prompts>(std::move(options), std::move(tasks));
}

}  // namespace reward_tuner
