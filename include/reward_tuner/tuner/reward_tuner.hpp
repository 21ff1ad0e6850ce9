// RewardTuner<Policies...>: the one class template every method is a configuration of.
#pragma once
#include <ATen/ops/arange.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/backend/memory_meter.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>
#include <reward_tuner/tuner/direct_update.hpp>
#include <reward_tuner/tuner/own_loss.hpp>
#include <reward_tuner/tuner/round_selection.hpp>
#include <reward_tuner/tuner/round_training.hpp>
#include <reward_tuner/tuner/row_advantages.hpp>
#include <reward_tuner/tuner/tuner_policies.hpp>
#include <reward_tuner/tuner/tuner_state.hpp>

namespace reward_tuner {

/// Tunes the trainable tensors of a pipeline on a reward. Policies may stand in any order; every role but the reward has a default: Ddim, StopInput, SpreadSteps,
/// NoExploration, DirectGradient, NoRegularizer. `RewardTuner<Reward>` alone is DRTune. With an objective that learns from samples (ClippedRatio, Reinforce, KlRegularised,
/// Preference) the steps default to AllSteps, the advantage to PerBatch, the branching to NoBranching, and Ddim's eta to 1.
/// Example: RewardTuner<SymmetryReward, Ddpm> tuner(SymmetryReward(), {.sampler = {.num_steps = 20}});
template <Policy... Policies>
class RewardTuner {
  using Roles = detail::TunerPolicies<Policies...>;

 public:
  using Reward = typename Roles::Reward;
  using Sampler = typename Roles::Sampler;
  using GradientStop = typename Roles::GradientStop;
  using StepSelection = typename Roles::StepSelection;
  using Exploration = typename Roles::Exploration;
  using Objective = typename Roles::Objective;
  using Advantage = std::conditional_t<Roles::kSurrogate == Surrogate::kLogProb, typename Roles::Advantage, detail::Unused>;
  using Branching = std::conditional_t<Roles::kSurrogate == Surrogate::kLogProb, typename Roles::Branching, detail::Unused>;
  using Regularizer = typename Roles::Regularizer;
  static constexpr Surrogate kSurrogate = Roles::kSurrogate;
  static constexpr bool kSamples = Roles::kSamples;  ///< learns from sampled pictures and their rewards, by rounds

  /// Options nest as the roles are named.
  struct Options {
    typename Sampler::Options sampler = {};
    typename GradientStop::Options gradient_stop = {};
    typename StepSelection::Options steps = {};
    typename Exploration::Options exploration = {};
    typename Objective::Options objective = {};
    typename Advantage::Options advantage = {};
    typename Branching::Options branching = {};
    typename Regularizer::Options regularizer = {};
    EngineOptions engine = {};
  };

  /// Throws a named error if an option is out of range or the options do not fit together.
  explicit RewardTuner(Reward reward, Options options = {})
      : options_(completed(std::move(options))), reward_(std::move(reward)), sampler_(options_.sampler), gradient_stop_(options_.gradient_stop), steps_(options_.steps),
        exploration_(options_.exploration), objective_(options_.objective), advantage_(options_.advantage), branching_(options_.branching), regularizer_(options_.regularizer) {
    check_options(options_.engine);
    REWARD_TUNER_CHECK(!kSamples || (options_.engine.memory == Memory::replay && options_.engine.replay_batch == 1), "[RewardTuner] engine.memory and engine.replay_batch have no meaning with ",
                       Objective::kName, ", whose transitions are always replayed, objective.round.rows at a time");
    steps_.check(options_.sampler.num_steps);
  }

  /// One update, which trains what `optimizer` holds. With DirectGradient: rollout, reward, adjoint sweep, clipping, one optimizer step. With an objective that learns from
  /// samples: a round, that is `sample` and then `train`.
  /// A non-finite reward or gradient skips the update and is counted; an exception of the reward leaves parameters and optimizer untouched.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport update(Pipeline& pipeline, Optim& optimizer, const std::vector<std::string>& prompts, Rng& rng) {
    if constexpr (kSamples) return train(pipeline, optimizer, sample(pipeline, prompts, rng), rng);
    else return direct_update(pipeline, optimizer, prompts, rng);
  }

  /// First half of a round: samples pictures of every prompt without gradient, scores them, computes advantages and chooses what is trained. Changes nothing in the model.
  template <DiffusionPipeline Pipeline>
  Round sample(Pipeline& pipeline, const std::vector<std::string>& prompts, Rng& rng) requires kSamples {
    check_prompts(prompts);
    bind_clip(pipeline);
    const Meter meter;
    ConfiguredPipeline<Pipeline> configured(pipeline, options_.engine);
    const SamplerSchedule schedule = sampler_.schedule(pipeline.noise_schedule());
    Round round;
    UpdateReport& report = round.report;
    report.update = state_.updates + 1;
    SamplingPlan plan{.steps = plan_steps(schedule, rng), .micro_batch = options_.engine.micro_batch, .reduction = objective_.options().round.reduction};
    report.plan = plan.steps;
    if constexpr (kSurrogate == Surrogate::kLogProb) plan.branches = branching_.branches();

    // Roots: every prompt as often as the round wants, prompt by prompt; branches of a root share its group.
    const std::int64_t copies = samples_per_prompt();
    const Tensor of_root = at::arange(static_cast<std::int64_t>(prompts.size()), at::kLong).repeat_interleave(copies);  // [R]
    const Condition plain = pipeline.encode(prompts).select(of_root);
    const SampleNoise noise = SampleNoise::draw(plain.size(), rng);
    const Condition explored = explore(plain, noise);
    const std::vector<double> guidance = guidance_scales(schedule.num_steps());
    NetworkCounts counts;
    Transitions all = sample_round(configured, schedule, plan, explored, guidance, noise, counts);

    std::vector<std::int64_t> groups;
    for (std::int64_t i = 0; i < all.size(); ++i) groups.push_back(i / (copies * plan.branches));
    const RewardValues rewards = reward_values(configured, reward_, all.clean, all.condition.prompts, groups, all.seeds, options_.engine.decode_batch);
    report.pictures = all.size();
    for (const double value : rewards.values) report.reward += value / static_cast<double>(rewards.values.size());
    report.components = rewards.components;
    Tensor kept = at::zeros({0}, at::kLong);  // int64 [kept]
    if (!rewards.finite()) {
      report.skip_reason = "the reward is not finite";
    } else if constexpr (kSurrogate == Surrogate::kLogProb) {
      kept = select_branches<Objective>(round, advantage_.advantages({rewards.values, all.condition.prompts, groups}, state_.history), branching_);
    } else {
      kept = select_weighted(round, objective_.weights(rewards.values, groups));
    }
    report.kept = kept.numel();
    round.transitions = all.select(kept);
    if constexpr (kSurrogate == Surrogate::kLogProb)
      if (objective_.options().round.target == RatioTarget::kPlain && exploring() && report.kept > 0)
        retarget(configured, round.transitions, plain.select(at::div(kept, plan.branches, "floor")), plain_scales(schedule.num_steps()), rows_at_once(report.kept), plan.reduction, counts);
    if constexpr (kSurrogate == Surrogate::kDenoising) round.transitions.condition = plain.select(kept);  // what is learned is the prompt, not the exploration
    add_counts(report, counts);
    meter.write(report);
    return round;
  }

  /// Second half of a round: the optimizer steps. The model may have changed since `sample`; the stored log-probabilities are the sampling policy's.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport train(Pipeline& pipeline, Optim& optimizer, Round round, Rng& rng) requires kSamples {
    const Meter meter;
    ConfiguredPipeline<Pipeline> configured(pipeline, options_.engine);
    UpdateReport report = std::move(round.report);
    NetworkCounts counts;
    optimizer.zero_grad();
    try {
      if (report.skip_reason.empty() && report.kept > 0) {
        const RoundTrainingOptions options{.rows = rows_at_once(report.kept), .gradient_clip = options_.engine.gradient_clip};
        UpdateReport own;  // the regularizer's own loss, added up over the optimizer steps
        const auto joint = [&] {
          if (!regularizer_alternates(regularizer_, pipeline)) accumulate_own_loss(regularizer_, pipeline, rng, counts, own);
        };
        if constexpr (kSurrogate == Surrogate::kLogProb) {
          const auto advantages = row_advantages(round, objective_, state_.tensors);
          train_on_log_probs(configured, optimizer, round, objective_, regularizer_, advantages, joint, options, rng, counts, report);
          fit_baseline(round, objective_, state_.tensors, rng);
        } else {
          train_on_denoising(configured, optimizer, round, objective_.options(), joint, options, rng, counts, report);
        }
        const auto steps = static_cast<double>(std::max<std::int64_t>(1, report.optimizer_steps));
        report.regularizer += own.regularizer / steps;
        report.loss += own.loss / steps;
      }
      conclude(optimizer, report);
      own_step(pipeline, optimizer, rng, counts, report);
    } catch (...) {
      optimizer.zero_grad();
      throw;
    }
    add_counts(report, counts);
    meter.write(report);
    return report;
  }

  /// Guidance scale of every step of the next training rollout.
  std::vector<double> guidance_scales(int num_steps) const {
    std::vector<double> scales = plain_scales(num_steps);
    if (exploring())
      for (int k = 0; k < num_steps; ++k) scales[static_cast<std::size_t>(k)] = exploration_.guidance(sampler_.guidance(), k, num_steps);
    return scales;
  }

  const Options& options() const { return options_; }
  const Reward& reward() const { return reward_; }
  const Sampler& sampler() const { return sampler_; }
  const TunerState& state() const { return state_; }
  void load_state(const TunerState& state) { state_ = state; }

 private:
  /// Time and memory of a part of an update.
  class Meter {
   public:
    void write(UpdateReport& report) const {
      report.peak_tensor_bytes = std::max(report.peak_tensor_bytes, memory_.peak_bytes());
      report.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }

   private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
    MemoryMeter memory_;
  };

  static Options completed(Options options) {
    if constexpr (kSurrogate == Surrogate::kLogProb && requires { Sampler::stochastic(options.sampler); }) options.sampler = Sampler::stochastic(options.sampler);
    return options;
  }

  static void check_prompts(const std::vector<std::string>& prompts) {
    REWARD_TUNER_CHECK(!prompts.empty(), "[RewardTuner] update wanted at least one prompt, found none");
    for (std::size_t i = 0; i < prompts.size(); ++i)
      REWARD_TUNER_CHECK(prompts[i].find_first_not_of(" \t\r\n") != std::string::npos, "[RewardTuner] prompt ", i + 1, " of ", prompts.size(), " is empty");
  }

  /// Gives the pipeline's CLIP to a reward that wants one and has none.
  template <DiffusionPipeline Pipeline>
  void bind_clip([[maybe_unused]] Pipeline& pipeline) {
    if constexpr (TakesClip<Reward>) {
      if (!reward_.needs_clip()) return;
      if constexpr (requires { pipeline.clip(); }) {
        reward_.bind_clip(pipeline.clip());
      } else {
        detail::fail("[RewardTuner] the reward ", Reward::kName, " needs a CLIP, and this pipeline has none: give one to the reward");
      }
    }
  }

  PlanContext context() const { return {.num_steps = options_.sampler.num_steps, .update = state_.updates}; }
  bool exploring() const {
    if constexpr (requires { exploration_.active(context()); }) return exploration_.active(context());
    else return true;
  }
  /// The condition of a training rollout. Exploration has a stream of its own, so that one which changes nothing leaves every other draw as it was.
  Condition explore(const Condition& plain, const SampleNoise& noise) const {
    if (!exploring()) return plain;
    constexpr std::uint64_t kExplorationStream = 0xE0;
    Rng own = Rng::derive(noise.seeds().front(), kExplorationStream);
    return exploration_.condition(plain, own);
  }
  std::vector<double> plain_scales(int num_steps) const { return std::vector<double>(static_cast<std::size_t>(num_steps), sampler_.guidance()); }
  static void add_counts(UpdateReport& report, const NetworkCounts& counts) {
    report.forwards += counts.forwards, report.backwards += counts.backwards;
    report.forward_samples += counts.forward_samples, report.backward_samples += counts.backward_samples;
  }

  // ---- direct gradients

  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport direct_update(Pipeline& pipeline, Optim& optimizer, const std::vector<std::string>& prompts, Rng& rng) {
    check_prompts(prompts);
    bind_clip(pipeline);
    const Meter meter;
    ConfiguredPipeline<Pipeline> configured(pipeline, options_.engine);
    const SamplerSchedule schedule = sampler_.schedule(pipeline.noise_schedule());
    UpdateReport report;
    report.update = state_.updates + 1;
    report.plan = plan_steps(schedule, rng);
    const auto batch = static_cast<std::int64_t>(prompts.size());
    const SampleNoise noise = SampleNoise::draw(batch, rng);
    const Condition condition = explore(pipeline.encode(prompts), noise);
    const std::vector<double> guidance = guidance_scales(schedule.num_steps());
    optimizer.zero_grad();
    NetworkCounts counts;
    try {
      const DirectUpdate direct(reward_, gradient_stop_, objective_, regularizer_, options_.engine);
      const std::int64_t micro = options_.engine.micro_batch > 0 ? std::min<std::int64_t>(options_.engine.micro_batch, batch) : batch;
      for (std::int64_t start = 0; start < batch && report.skip_reason.empty(); start += micro) {
        const std::int64_t size = std::min(micro, batch - start);
        direct.accumulate(configured, schedule, condition.narrow(start, size), guidance, noise.narrow(start, size), static_cast<double>(size) / static_cast<double>(batch), counts, report);
      }
      if (!regularizer_alternates(regularizer_, pipeline) && report.skip_reason.empty()) accumulate_own_loss(regularizer_, pipeline, rng, counts, report);
      if (report.skip_reason.empty()) {
        report.gradient_norm = guarded_step(optimizer, options_.engine.gradient_clip);
        if (!std::isfinite(report.gradient_norm)) report.skip_reason = "the gradient of the parameters is not finite";
        else report.optimizer_steps = 1;
      }
      conclude(optimizer, report);
      own_step(pipeline, optimizer, rng, counts, report);
    } catch (...) {
      optimizer.zero_grad();
      throw;
    }
    add_counts(report, counts);
    meter.write(report);
    return report;
  }

  StepPlan plan_steps(const SamplerSchedule& schedule, Rng& rng) const {
    const StepPlan plan = steps_.plan({schedule.num_steps(), state_.updates}, rng);
    check_plan(plan, schedule.num_steps());
    REWARD_TUNER_CHECK(!kSamples || (!plan.jumps && plan.replicas == 0 && plan.weights.empty()), "[RewardTuner] ", Objective::kName,
                       " wants rollouts that run to the end, with steps of equal weight; found the plan ", plan);
    REWARD_TUNER_CHECK(kSurrogate != Surrogate::kLogProb || !stochastic_steps(schedule, plan.trained).empty(), "[RewardTuner] ", Objective::kName,
                       " needs a sampler with log_prob: Ddpm, or Ddim with eta > 0; found no noise in any of the trained steps ", plan);
    return plan;
  }

  /// Counts the update; a skipped one leaves no gradients behind.
  template <Optimizer Optim>
  void conclude(Optim& optimizer, UpdateReport& report) {
    ++state_.updates;
    if (!report.skip_reason.empty()) {
      report.skipped = true;
      optimizer.zero_grad();
      ++state_.skipped;
      ++state_.skipped_in_a_row;
      REWARD_TUNER_CHECK(state_.skipped_in_a_row < options_.engine.max_skipped_in_a_row, "[RewardTuner] ", state_.skipped_in_a_row, " updates in a row were skipped because ",
                         report.skip_reason, "; parameters are as before the first of them");
    } else {
      state_.skipped_in_a_row = 0;
    }
    report.skipped_updates = state_.skipped;
  }

  /// The alternating regularizer's own step, left out if its gradient is not finite.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  void own_step(Pipeline& pipeline, Optim& optimizer, Rng& rng, NetworkCounts& counts, UpdateReport& report) {
    if (report.skipped || !regularizer_alternates(regularizer_, pipeline)) return;
    optimizer.zero_grad();
    if (accumulate_own_loss(regularizer_, pipeline, rng, counts, report) && !std::isfinite(guarded_step(optimizer, options_.engine.gradient_clip)))
      report.warning = "the gradient of the regularizer's own step is not finite; the reward's step was made";
  }

  // ---- rounds

  std::int64_t samples_per_prompt() const {
    if (const int wanted = objective_.options().round.samples_per_prompt; wanted > 0) return wanted;
    if constexpr (requires { objective_.default_group(); }) return objective_.default_group();
    if constexpr (requires { Advantage::kDefaultGroup; })
      if (branching_.branches() == 1) return Advantage::kDefaultGroup;  // branches of a root can be compared with one another
    return 1;
  }
  std::int64_t rows_at_once(std::int64_t kept) const {
    if (const int rows = objective_.options().round.rows; rows > 0) return rows;
    return options_.engine.micro_batch > 0 ? std::min<std::int64_t>(options_.engine.micro_batch, kept) : kept;
  }

  template <DiffusionPipeline Pipeline>
  Transitions sample_round(Pipeline& pipeline, const SamplerSchedule& schedule, SamplingPlan plan, const Condition& condition, const std::vector<double>& guidance, const SampleNoise& noise,
                           NetworkCounts& counts) const {
    if constexpr (kSurrogate == Surrogate::kDenoising) {
      plan.steps.trained = {};  // nothing of the path is needed
      if (objective_.options().frozen) {
        const auto scope = pipeline.reference_scope();
        return sample_transitions(pipeline, schedule, plan, condition, guidance, noise, counts);
      }
    }
    return sample_transitions(pipeline, schedule, plan, condition, guidance, noise, counts);
  }

  Options options_;
  Reward reward_;
  Sampler sampler_;
  GradientStop gradient_stop_;
  StepSelection steps_;
  Exploration exploration_;
  Objective objective_;
  Advantage advantage_;
  Branching branching_;
  Regularizer regularizer_;
  TunerState state_;
};

/// A tuner of the given method: make<DRTune>(reward, {.sampler = {...}}). Further policies go after the method: make<DRTune, Ddpm>(reward).
template <template <class...> class Method, class... More, class Reward>
auto make(Reward reward, typename Method<Reward, More...>::Options options = {}) {
  return Method<Reward, More...>(std::move(reward), std::move(options));
}

}  // namespace reward_tuner
