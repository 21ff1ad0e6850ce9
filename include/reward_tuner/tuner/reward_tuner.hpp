// RewardTuner<Policies...>: the class template of which every method is a configuration.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/shared_work.hpp>
#include <reward_tuner/tensor/out_of_memory.hpp>
#include <reward_tuner/tuner/idle_round.hpp>
#include <reward_tuner/tuner/memory_shortage.hpp>
#include <reward_tuner/tuner/round.hpp>
#include <reward_tuner/tuner/running_update.hpp>
#include <reward_tuner/tuner/tuner_parts.hpp>

namespace reward_tuner {

/// Tunes the trainable tensors of a pipeline on a reward. Policies may stand in any order; every role but the reward
/// has a default: Ddim, StopInput, SpreadSteps, NoExploration, DirectGradient, NoRegularizer. `RewardTuner<Reward>`
/// alone is DRTune. With an objective that learns from samples (ClippedRatio, Reinforce, KlRegularized, Preference) the
/// steps default to AllSteps, the advantage to PerBatch, the branching to NoBranching, and Ddim's eta to 1.
/// Example: RewardTuner<SymmetryReward, Ddpm> tuner(SymmetryReward(), {.sampler = {.num_steps = 20}});
template <Policy... Policies>
class RewardTuner {
  using Roles = detail::TunerPolicies<Policies...>;
  using Parts = TunerParts<Roles>;
  using SurrogateUpdate = typename Roles::Rules::template Update<Parts>;

 public:
  using Reward = typename Roles::Reward;
  using Sampler = typename Roles::Sampler;
  using GradientStop = typename Roles::GradientStop;
  using StepSelection = typename Roles::StepSelection;
  using Exploration = typename Roles::Exploration;
  using Objective = typename Roles::Objective;
  using Advantage = typename Roles::Advantage;
  using Branching = typename Roles::Branching;
  using Regularizer = typename Roles::Regularizer;
  using Options = TunerOptions<typename Roles::WithOptions>;
  static constexpr bool kSamples = Roles::Rules::kSamples;  ///< learns from sampled images, by rounds

  /// Errors: an option out of range, options that do not fit together.
  explicit RewardTuner(Reward reward, Options options = {}) : parts_(std::move(reward), std::move(options)) {}

  /// One update, which trains what `optimizer` holds. With DirectGradient: rollout, reward, adjoint sweep, clipping,
  /// one optimizer step. With an objective that learns from samples: a round, that is `sample` and then `train`.
  /// A non-finite reward or gradient skips the update and is counted (a round ends there, its earlier optimizer steps
  /// stay made); an exception of the reward leaves parameters and optimizer untouched. So does memory that runs out: it
  /// is an error that names the switches which take less (a round's earlier optimizer steps stay made).
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport update(Pipeline& pipeline, Optim& optimizer, const std::vector<std::string>& prompts, Rng& rng) {
    if constexpr (kSamples) {
      return train(pipeline, optimizer, sample(pipeline, prompts, rng), rng);
    } else {
      check_prompts(prompts);
      parts_.bind_clip(pipeline);
      return concluded(pipeline, optimizer, rng, {.update = parts_.state.updates + 1}, prompts.size(),
                       [&](auto& update) { SurrogateUpdate(parts_).train(update, prompts); });
    }
  }

  /// First half of a round: samples images of every prompt without gradient, scores them and chooses what is trained,
  /// with what weight. Changes nothing in the model, and nothing that the tuner remembers.
  template <DiffusionPipeline Pipeline>
  Round sample(Pipeline& pipeline, const std::vector<std::string>& prompts, Rng& rng) requires kSamples {
    check_prompts(prompts);
    if (parts_.state.updates == 0) check_round(prompts);
    parts_.bind_clip(pipeline);
    parts_.complete_objective(pipeline);
    const UpdateMeter meter;
    ConfiguredPipeline<Pipeline> configured(pipeline, parts_.options.engine);
    Round round;
    try {
      round = SurrogateUpdate(parts_).sample(configured, prompts, rng);
    } catch (const std::exception& problem) {
      if (is_out_of_memory(problem))
        fail_of_memory({.update = parts_.state.updates + 1}, meter.memory().peak_bytes(),
                       switches(pipeline, prompts.size()), problem.what());
      throw;
    }
    round.report.update = parts_.state.updates + 1;
    round.report.flops.add(of_all_ranks(parts_.ranks, configured.flops()));
    meter.write(round.report);
    return round;
  }

  /// Second half of a round: the optimizer steps. The model may have changed since `sample`; the stored
  /// log-probabilities are the sampling policy's. Advantages that look back remember the round's rewards, unless it was
  /// skipped before its first step.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport train(Pipeline& pipeline, Optim& optimizer, Round round, Rng& rng) requires kSamples {
    const auto images = static_cast<std::size_t>(round.report.images);
    return concluded(pipeline, optimizer, rng, std::move(round.report), images, [&](auto& update) {
      const UpdateReport& report = update.report;
      SurrogateUpdate half(parts_);
      if (report.skip_reason.empty() && report.kept > 0) half.train(update, round);
      if constexpr (Roles::Rules::kAdvantages)
        if (report.skip_reason.empty() || report.optimizer_steps > 0) half.remember(round);
    });
  }

  /// Says how many updates the whole run will have: windows and explorations whose length is not in their options are
  /// shares of it. A Trainer calls it; a loop of your own does so before its first update. Errors: below 1.
  void plan(std::int64_t updates) {
    REWARD_TUNER_CHECK(updates >= 1, "[RewardTuner] plan expected updates >= 1, got ", updates);
    parts_.planned = updates;
  }

  /// Errors: rounds of such prompts can teach nothing, whatever their rewards (check_can_teach). Asked before the first
  /// round; a Trainer asks before anything runs. Does nothing with an objective that does not learn from samples.
  void check_round([[maybe_unused]] const std::vector<std::string>& prompts) const {
    if constexpr (kSamples) check_can_teach(parts_, prompts);
  }

  /// Divides the updates from now on among processes (ranks/ranks.hpp): each calls `update` with the same prompts and a
  /// stream in the same state, computes some of the micro-batches, and ends with the same weights, report and state,
  /// bit for bit those of a process that is alone. With Memory::budget the first rank makes the update that measures
  /// while the others wait: what fits must not depend on their number. A Trainer calls it.
  void join(Ranks ranks) { parts_.ranks = std::move(ranks); }

  /// Guidance scale of every step of the next training rollout.
  PerStep<double> guidance_scales(int num_steps) const { return parts_.guidance(num_steps); }
  const Options& options() const { return parts_.options; }
  /// Calls visit(role, policy, options) for every policy but the reward, by the names of the options' fields; those
  /// that this objective does not use are left out. A run's config.json and fingerprint are made of it.
  template <class Visit>
  void visit_policies(Visit visit) const {
    visit("sampler", parts_.sampler, parts_.options.sampler);
    if constexpr (!kSamples) visit("gradient_stop", parts_.gradient_stop, parts_.options.gradient_stop);
    visit("steps", parts_.steps, parts_.options.steps);
    visit("exploration", parts_.exploration, parts_.options.exploration);
    visit("objective", parts_.objective, parts_.options.objective);
    if constexpr (Roles::Rules::kAdvantages) {
      visit("advantage", parts_.advantage, parts_.options.advantage);
      visit("branching", parts_.branching, parts_.options.branching);
    }
    visit("regularizer", parts_.regularizer, parts_.options.regularizer);
  }
  const Reward& reward() const { return parts_.reward; }
  const Sampler& sampler() const { return parts_.sampler; }
  const TunerState& state() const { return parts_.state; }
  void load_state(const TunerState& state) { parts_.state = state; }

 private:
  static void check_prompts(const std::vector<std::string>& prompts) {
    REWARD_TUNER_CHECK(!prompts.empty(), "[RewardTuner] update expected at least one prompt, got none");
    for (std::size_t i = 0; i < prompts.size(); ++i)
      REWARD_TUNER_CHECK(prompts[i].find_first_not_of(" \t\r\n") != std::string::npos, "[RewardTuner] prompt ", i + 1,
                         " of ", prompts.size(), " is empty");
  }

  /// Runs `body` on an update that begins with `report`, and closes its accounts. An exception leaves no gradients.
  template <DiffusionPipeline Pipeline, Optimizer Optim, class Body>
  UpdateReport concluded(Pipeline& pipeline, Optim& optimizer, Rng& rng, UpdateReport report, std::size_t images,
                         Body body) {
    parts_.complete_objective(pipeline);
    optimizer.zero_grad();  // before the meter, for which every update begins without gradients
    const UpdateMeter meter;
    const EngineOptions& engine = parts_.options.engine;
    GradientScale& scale = parts_.state.gradient_scale;
    if (network_dtype(pipeline) == at::kHalf) scale.begin(engine.gradient_scale);
    const std::int64_t overflows = scale.overflows;
    ConfiguredPipeline<Pipeline> configured(pipeline, engine, scale);
    RunningUpdate<ConfiguredPipeline<Pipeline>, Optim> update{
        configured,   optimizer,        rng, scale, engine.gradient_scale_growth, meter.memory(),
        parts_.ranks, std::move(report)};
    try {
      body(update);
      conclude(update, scale.overflows > overflows);
      own_step(update);
    } catch (const std::exception& problem) {
      optimizer.zero_grad();
      if (is_out_of_memory(problem)) {
        std::vector<std::string> less = switches(pipeline, images), other = memory_switches(optimizer);
        less.insert(less.end(), other.begin(), other.end());
        fail_of_memory(update.report, meter.memory().peak_bytes(), less, problem.what());
      }
      throw;
    } catch (...) {
      optimizer.zero_grad();
      throw;
    }
    add_counts(update.report, update.counts);
    update.report.flops.add(of_all_ranks(parts_.ranks, configured.flops()));
    update.report.gradient_scale = scale.factor();
    update.report.gradient_overflows = scale.overflows;
    meter.write(update.report);
    return std::move(update.report);
  }

  /// What would take less memory than an update of so many images does.
  template <DiffusionPipeline Pipeline>
  std::vector<std::string> switches(Pipeline& pipeline, std::size_t images) const {
    auto out = memory_switches(parts_.options.engine, pipeline, static_cast<std::int64_t>(images));
    if constexpr (kSamples)
      if (const int rows = parts_.objective.options().round.rows; rows > 1)
        out.insert(out.begin(), "objective.round.rows below " + std::to_string(rows));
    return out;
  }

  /// Counts the update; a skipped one leaves no gradients behind. `rescaled`: the scale of gradients is lower now, so
  /// that the next update need not be skipped for the same reason.
  template <class Update>
  void conclude(Update& update, bool rescaled) {
    UpdateReport& report = update.report;
    TunerState& state = parts_.state;
    const auto steps = static_cast<double>(std::max<std::int64_t>(1, report.optimizer_steps));
    report.regularizer += update.own.regularizer / steps;
    report.loss += update.own.loss / steps;
    ++state.updates;
    report.skipped = !report.skip_reason.empty();
    state.skipped_in_a_row = report.skipped ? state.skipped_in_a_row + (rescaled ? 0 : 1) : 0;
    if (report.skipped) {
      update.optimizer.zero_grad();
      ++state.skipped;
      REWARD_TUNER_CHECK(state.skipped_in_a_row < parts_.options.engine.max_skipped_in_a_row, "[RewardTuner] ",
                         state.skipped_in_a_row, " updates in a row were skipped because ", report.skip_reason,
                         Roles::Rules::kKept);
    }
    report.skipped_updates = state.skipped;
  }

  /// The alternating regularizer's own step, left out if its gradient is not finite.
  template <class Update>
  void own_step(Update& update) {
    if (update.report.skipped || !RegularizerTraits<Regularizer>::alternates(parts_.regularizer)) return;
    update.optimizer.zero_grad();
    if (accumulate_own_loss(parts_.regularizer, update.pipeline, update.rng, update.counts, update.report))
      own_optimizer_step(update.optimizer, *parts_.options.engine.gradient_clip, update.scale, update.scale_growth,
                         "the gradient of the regularizer's own step is not finite; the reward's step was made",
                         update.report);
    if constexpr (kSamples) update.optimizer.zero_grad();  // the next round samples before anything drops them
  }

  Parts parts_;
};

/// A tuner of the given method: make<DRTune>(reward, {.sampler = {...}}). Further policies go after the method:
/// make<DRTune, Ddpm>(reward).
template <template <class...> class Method, class... More, class Reward>
auto make(Reward reward, typename Method<Reward, More...>::Options options = {}) {
  return Method<Reward, More...>(std::move(reward), std::move(options));
}

}  // namespace reward_tuner
