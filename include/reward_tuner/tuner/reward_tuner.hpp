// RewardTuner<Policies...>: the one class template every method is a configuration of.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/div.h>
#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/reward_values.hpp>
#include <reward_tuner/tuner/direct_update.hpp>
#include <reward_tuner/tuner/own_loss.hpp>
#include <reward_tuner/tuner/round_selection.hpp>
#include <reward_tuner/tuner/round_training.hpp>
#include <reward_tuner/tuner/row_advantages.hpp>
#include <reward_tuner/tuner/tuner_core.hpp>

namespace reward_tuner {

/// Tunes the trainable tensors of a pipeline on a reward. Policies may stand in any order; every role but the reward
/// has a default: Ddim, StopInput, SpreadSteps, NoExploration, DirectGradient, NoRegularizer. `RewardTuner<Reward>`
/// alone is DRTune. With an objective that learns from samples (ClippedRatio, Reinforce, KlRegularized, Preference) the
/// steps default to AllSteps, the advantage to PerBatch, the branching to NoBranching, and Ddim's eta to 1. Options,
/// state and the policies' types: see TunerCore.
/// Example: RewardTuner<SymmetryReward, Ddpm> tuner(SymmetryReward(), {.sampler = {.num_steps = 20}});
template <Policy... Policies>
class RewardTuner : public TunerCore<detail::TunerPolicies<Policies...>> {
  using Core = TunerCore<detail::TunerPolicies<Policies...>>;

 public:
  using Core::Core;  // RewardTuner(Reward, Options = {})
  using Core::kSamples;
  using Core::kSurrogate;
  using typename Core::Advantage;
  using typename Core::Objective;
  using typename Core::Regularizer;
  using typename Core::Reward;

  /// One update, which trains what `optimizer` holds. With DirectGradient: rollout, reward, adjoint sweep, clipping,
  /// one optimizer step. With an objective that learns from samples: a round, that is `sample` and then `train`.
  /// A non-finite reward or gradient skips the update and is counted (a round ends there, its earlier optimizer steps
  /// stay made); an exception of the reward leaves parameters and optimizer untouched.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport update(Pipeline& pipeline, Optim& optimizer, const std::vector<std::string>& prompts, Rng& rng) {
    if constexpr (kSamples) return train(pipeline, optimizer, sample(pipeline, prompts, rng), rng);
    else return direct_update(pipeline, optimizer, prompts, rng);
  }

  /// First half of a round: samples images of every prompt without gradient, scores them, computes advantages and
  /// chooses what is trained. Changes nothing in the model.
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
    SamplingPlan plan{.steps = plan_steps(schedule, rng),
                      .micro_batch = options_.engine.micro_batch,
                      .reduction = objective_.options().round.reduction};
    report.plan = plan.steps;
    if constexpr (kSurrogate == Surrogate::kLogProb) plan.branches = branching_.branches();

    // Roots: every prompt as often as the round wants, prompt by prompt; branches of a root share its group.
    const std::int64_t copies = samples_per_prompt();
    // [R]
    const Tensor of_root = at::arange(static_cast<std::int64_t>(prompts.size()), at::kLong).repeat_interleave(copies);
    const Condition plain = pipeline.encode(prompts).select(of_root);
    const SampleNoise noise = SampleNoise::draw(plain.size(), rng);
    const Condition explored = explore(plain, noise);
    const std::vector<double> guidance = this->guidance_scales(schedule.num_steps());
    NetworkCounts counts;
    Transitions all = sample_round(configured, schedule, plan, explored, guidance, noise, counts);

    std::vector<std::int64_t> groups;
    for (std::int64_t i = 0; i < all.size(); ++i) groups.push_back(i / (copies * plan.branches));
    const RewardValues rewards = reward_values(configured, reward_, all.clean, all.condition.prompts, groups, all.seeds,
                                               options_.engine.decode_batch);
    report.images = all.size();
    for (const double value : rewards.values) report.reward += value / static_cast<double>(rewards.values.size());
    report.components = rewards.components;
    Tensor kept = at::zeros({0}, at::kLong);  // int64 [kept]
    if (!rewards.finite()) {
      report.skip_reason = "the reward is not finite";
    } else if constexpr (kSurrogate == Surrogate::kLogProb) {
      kept = select_branches<Objective>(
          round, advantage_.advantages({rewards.values, all.condition.prompts, groups}, state_.history), branching_);
    } else {
      kept = select_weighted(round, objective_.weights(rewards.values, groups));
    }
    report.kept = kept.numel();
    round.transitions = all.select(kept);
    if constexpr (kSurrogate == Surrogate::kLogProb)
      if (objective_.options().round.target == RatioTarget::kPlain && exploring() && report.kept > 0)
        retarget(configured, round.transitions, plain.select(at::div(kept, plan.branches, "floor")),
                 plain_scales(schedule.num_steps()), rows_at_once(report.kept), plan.reduction, counts);
    // what is learned is the prompt, not the exploration
    if constexpr (kSurrogate == Surrogate::kDenoising) round.transitions.condition = plain.select(kept);
    add_counts(report, counts);
    meter.write(report);
    return round;
  }

  /// Second half of a round: the optimizer steps. The model may have changed since `sample`; the stored
  /// log-probabilities are the sampling policy's.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport train(Pipeline& pipeline, Optim& optimizer, Round round, Rng& rng) requires kSamples {
    const Meter meter;
    ConfiguredPipeline<Pipeline> configured(pipeline, options_.engine);
    UpdateReport report = std::move(round.report);
    NetworkCounts counts;
    optimizer.zero_grad();
    try {
      if (report.skip_reason.empty() && report.kept > 0) {
        const RoundTrainingOptions options{.rows = rows_at_once(report.kept),
                                           .gradient_clip = options_.engine.gradient_clip};
        UpdateReport own;  // the regularizer's own loss, added up over the optimizer steps
        const auto joint = [&] {
          if (!RegularizerTraits<Regularizer>::alternates(regularizer_))
            accumulate_own_loss(regularizer_, configured, rng, counts, own);
        };
        if constexpr (kSurrogate == Surrogate::kLogProb) {
          const auto advantages = row_advantages(round, objective_, state_.tensors);
          train_on_log_probs(configured, optimizer, round, objective_, regularizer_, advantages, joint, options, rng,
                             counts, report);
          fit_baseline(round, objective_, state_.tensors, rng);
        } else {
          train_on_denoising(configured, optimizer, round, objective_, joint, options, rng, counts, report);
        }
        const auto steps = static_cast<double>(std::max<std::int64_t>(1, report.optimizer_steps));
        report.regularizer += own.regularizer / steps;
        report.loss += own.loss / steps;
      }
      conclude(optimizer, report);
      own_step(configured, optimizer, rng, counts, report);
    } catch (...) {
      optimizer.zero_grad();
      throw;
    }
    add_counts(report, counts);
    meter.write(report);
    return report;
  }

 private:
  using Core::add_counts, Core::bind_clip, Core::check_prompts, Core::conclude, Core::explore, Core::exploring,
      Core::own_step, Core::plain_scales, Core::plan_steps;
  using Core::advantage_, Core::branching_, Core::gradient_stop_, Core::objective_, Core::options_, Core::regularizer_,
      Core::reward_, Core::sampler_, Core::state_;
  using typename Core::Meter;

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
    const std::vector<double> guidance = this->guidance_scales(schedule.num_steps());
    optimizer.zero_grad();
    NetworkCounts counts;
    try {
      const DirectUpdate direct(reward_, gradient_stop_, objective_, regularizer_, options_.engine);
      const std::int64_t micro =
          options_.engine.micro_batch > 0 ? std::min<std::int64_t>(options_.engine.micro_batch, batch) : batch;
      for (std::int64_t start = 0; start < batch && report.skip_reason.empty(); start += micro) {
        const std::int64_t size = std::min(micro, batch - start);
        direct.accumulate(configured, schedule, condition.narrow(start, size), guidance, noise.narrow(start, size),
                          static_cast<double>(size) / static_cast<double>(batch), counts, report);
      }
      if (!RegularizerTraits<Regularizer>::alternates(regularizer_) && report.skip_reason.empty())
        accumulate_own_loss(regularizer_, configured, rng, counts, report);
      if (report.skip_reason.empty()) {
        report.gradient_norm = guarded_step(optimizer, options_.engine.gradient_clip);
        if (!std::isfinite(report.gradient_norm)) report.skip_reason = "the gradient of the parameters is not finite";
        else report.optimizer_steps = 1;
      }
      conclude(optimizer, report);
      own_step(configured, optimizer, rng, counts, report);
    } catch (...) {
      optimizer.zero_grad();
      throw;
    }
    add_counts(report, counts);
    meter.write(report);
    return report;
  }

  /// As the options say; else one, or a group where the reward, the advantage or the objective compares the images of
  /// a prompt. Branches of a root are such a group already.
  std::int64_t samples_per_prompt() const {
    if (const int wanted = objective_.options().round.samples_per_prompt; wanted > 0) return wanted;
    if constexpr (kSurrogate == Surrogate::kLogProb)
      if (branching_.branches() > 1) return 1;
    return std::max({Reward::kPerGroup ? kComparedImages : 1, ObjectiveTraits<Objective>::default_group(objective_),
                     AdvantageTraits<Advantage>::kDefaultGroup});
  }
  std::int64_t rows_at_once(std::int64_t kept) const {
    if (const int rows = objective_.options().round.rows; rows > 0) return rows;
    return options_.engine.micro_batch > 0 ? std::min<std::int64_t>(options_.engine.micro_batch, kept) : kept;
  }

  template <DiffusionPipeline Pipeline>
  Transitions sample_round(Pipeline& pipeline, const SamplerSchedule& schedule, SamplingPlan plan,
                           const Condition& condition, const std::vector<double>& guidance, const SampleNoise& noise,
                           NetworkCounts& counts) const {
    if constexpr (kSurrogate == Surrogate::kDenoising) {
      plan.steps.trained = {};  // nothing of the path is needed
      if (ObjectiveTraits<Objective>::samples_reference(objective_)) {
        const auto scope = pipeline.reference_scope();
        return sample_transitions(pipeline, schedule, plan, condition, guidance, noise, counts);
      }
    }
    return sample_transitions(pipeline, schedule, plan, condition, guidance, noise, counts);
  }
};

/// A tuner of the given method: make<DRTune>(reward, {.sampler = {...}}). Further policies go after the method:
/// make<DRTune, Ddpm>(reward).
template <template <class...> class Method, class... More, class Reward>
auto make(Reward reward, typename Method<Reward, More...>::Options options = {}) {
  return Method<Reward, More...>(std::move(reward), std::move(options));
}

}  // namespace reward_tuner
