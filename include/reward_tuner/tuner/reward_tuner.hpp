// RewardTuner<Policies...>: the one class template every method is a configuration of.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/backend/memory_meter.hpp>
#include <reward_tuner/core/explain.hpp>
#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/configured_pipeline.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/exploration/no_exploration.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/objectives/direct_gradient.hpp>
#include <reward_tuner/regularizers/no_regularizer.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/step_selection/spread_steps.hpp>
#include <reward_tuner/tuner/optimizer_concept.hpp>
#include <reward_tuner/tuner/tuner_state.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// A regularizer with a loss of its own, apart from the trained steps: `own_loss(pipeline, rng)` gives a scalar or, if it is switched off, an undefined tensor;
/// `alternates()` says whether it gets an optimizer step of its own after the reward's.
template <class R, class Pipeline>
concept HasOwnLoss = requires(const R regularizer, Pipeline& pipeline, Rng& rng) {
  { regularizer.own_loss(pipeline, rng) } -> std::same_as<Tensor>;
  { regularizer.alternates() } -> std::convertible_to<bool>;
};

/// Tunes the trainable tensors of a pipeline on a reward. Policies may stand in any order; every role but the reward has a default:
/// Ddim, StopInput, SpreadSteps, NoExploration, DirectGradient, NoRegularizer. `RewardTuner<Reward>` alone is DRTune.
/// Example: RewardTuner<SymmetryReward, Ddpm> tuner(SymmetryReward(), {.sampler = {.num_steps = 20}});
template <Policy... Policies>
class RewardTuner {
  template <class Role>
  static constexpr int count = detail::count_role<Role, Policies...>;
  static_assert(count<RewardRole> == 1, "[RewardTuner] needs exactly one RewardPolicy; combine several with WeightedSum<...>");
  static_assert(count<SamplerRole> <= 1, "[RewardTuner] two SamplerPolicies given; name one");
  static_assert(count<GradientStopRole> <= 1, "[RewardTuner] two GradientStopPolicies given; name one");
  static_assert(count<StepSelectionRole> <= 1, "[RewardTuner] two StepSelectionPolicies given; name one");
  static_assert(count<ExplorationRole> <= 1, "[RewardTuner] two ExplorationPolicies given; name one");
  static_assert(count<ObjectiveRole> <= 1, "[RewardTuner] two ObjectivePolicies given; name one");
  static_assert(count<RegularizerRole> <= 1, "[RewardTuner] two RegularizerPolicies given; name one");
  static constexpr int known = count<RewardRole> + count<SamplerRole> + count<GradientStopRole> + count<StepSelectionRole> + count<ExplorationRole> +
                               count<ObjectiveRole> + count<RegularizerRole>;
  static_assert(known == sizeof...(Policies), "[RewardTuner] a policy names a Role that RewardTuner does not know");

 public:
  using Reward = policy_for<RewardRole, detail::NoReward, Policies...>;
  using Sampler = detail::usable<policy_for<SamplerRole, Ddim, Policies...>, Ddim>;
  using GradientStop = detail::usable<policy_for<GradientStopRole, StopInput, Policies...>, StopInput>;
  using StepSelection = detail::usable<policy_for<StepSelectionRole, SpreadSteps, Policies...>, SpreadSteps>;
  using Exploration = detail::usable<policy_for<ExplorationRole, NoExploration, Policies...>, NoExploration>;
  using Objective = detail::usable<policy_for<ObjectiveRole, DirectGradient, Policies...>, DirectGradient>;
  using Regularizer = detail::usable<policy_for<RegularizerRole, NoRegularizer, Policies...>, NoRegularizer>;

 private:
  // At class scope, so that a mistake prints its sentence and nothing else.
  static_assert(detail::ExplainReward<Reward>::value && detail::ExplainSampler<policy_for<SamplerRole, Ddim, Policies...>>::value &&
                detail::ExplainGradientStop<policy_for<GradientStopRole, StopInput, Policies...>>::value &&
                detail::ExplainStepSelection<policy_for<StepSelectionRole, SpreadSteps, Policies...>>::value &&
                detail::ExplainExploration<policy_for<ExplorationRole, NoExploration, Policies...>>::value &&
                detail::ExplainObjective<policy_for<ObjectiveRole, DirectGradient, Policies...>>::value &&
                detail::ExplainRegularizer<policy_for<RegularizerRole, NoRegularizer, Policies...>>::value);
  static_assert(!requires { requires !Reward::kDifferentiable; }, "[DirectGradient] needs a differentiable reward; this one is a black box");

 public:
  /// Options nest as the roles are named.
  struct Options {
    typename Sampler::Options sampler = {};
    typename GradientStop::Options gradient_stop = {};
    typename StepSelection::Options steps = {};
    typename Exploration::Options exploration = {};
    typename Objective::Options objective = {};
    typename Regularizer::Options regularizer = {};
    EngineOptions engine = {};
  };

  /// Throws a named error if an option is out of range or the options do not fit together.
  explicit RewardTuner(Reward reward, Options options = {})
      : options_(options), reward_(std::move(reward)), sampler_(options.sampler), gradient_stop_(options.gradient_stop), steps_(options.steps),
        exploration_(options.exploration), objective_(options.objective), regularizer_(options.regularizer) {
    check_options(options_.engine);
    steps_.check(options_.sampler.num_steps);
  }

  /// One update: rollout, reward, adjoint sweep, clipping, optimizer step. Trains what `optimizer` holds.
  /// A non-finite reward or gradient skips the update and is counted; an exception of the reward leaves parameters and optimizer untouched.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  UpdateReport update(Pipeline& pipeline, Optim& optimizer, const std::vector<std::string>& prompts, Rng& rng) {
    check_prompts(prompts);
    bind_clip(pipeline);
    const auto begin = std::chrono::steady_clock::now();
    const MemoryMeter meter;
    ConfiguredPipeline<Pipeline> configured(pipeline, options_.engine);
    const SamplerSchedule schedule = sampler_.schedule(pipeline.noise_schedule());
    UpdateReport report;
    report.update = state_.updates + 1;
    report.plan = steps_.plan({schedule.num_steps(), state_.updates}, rng);
    check_plan(report.plan, schedule.num_steps());

    const auto batch = static_cast<std::int64_t>(prompts.size());
    const SampleNoise noise = SampleNoise::draw(batch, rng);
    const Condition condition = exploration_.condition(pipeline.encode(prompts), rng);
    optimizer.zero_grad();
    NetworkCounts counts;
    try {
      const std::int64_t micro = options_.engine.micro_batch > 0 ? std::min<std::int64_t>(options_.engine.micro_batch, batch) : batch;
      for (std::int64_t start = 0; start < batch && report.skip_reason.empty(); start += micro) {
        const std::int64_t size = std::min(micro, batch - start);
        accumulate(configured, schedule, condition.narrow(start, size), noise.narrow(start, size), static_cast<double>(size) / static_cast<double>(batch), counts, report);
      }
      if (!regularizer_alternates<Pipeline>() && report.skip_reason.empty()) accumulate_own_loss(pipeline, rng, counts, report);
      finish(optimizer, report);
      if (regularizer_alternates<Pipeline>() && !report.skipped) {
        optimizer.zero_grad();
        if (accumulate_own_loss(pipeline, rng, counts, report)) step_alone(optimizer, report);
      }
    } catch (...) {
      optimizer.zero_grad();
      throw;
    }
    report.forwards = counts.forwards;
    report.backwards = counts.backwards;
    report.peak_tensor_bytes = meter.peak_bytes();
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return report;
  }

  /// Guidance scale of every step of a training rollout.
  std::vector<double> guidance_scales(int num_steps) const {
    std::vector<double> scales(static_cast<std::size_t>(num_steps));
    for (int k = 0; k < num_steps; ++k) scales[static_cast<std::size_t>(k)] = exploration_.guidance(sampler_.guidance(), k, num_steps);
    return scales;
  }

  const Options& options() const { return options_; }
  const Reward& reward() const { return reward_; }
  const Sampler& sampler() const { return sampler_; }
  const TunerState& state() const { return state_; }
  void load_state(const TunerState& state) { state_ = state; }

 private:
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

  /// Rolls out one micro-batch and adds its gradients. Sets report.skip_reason instead of touching anything when a number is not finite.
  template <DiffusionPipeline Pipeline>
  void accumulate(Pipeline& pipeline, const SamplerSchedule& schedule, Condition condition, SampleNoise noise, double share, NetworkCounts& counts, UpdateReport& report) {
    const StepPlan& plan = report.plan;
    const std::vector<double> guidance = guidance_scales(schedule.num_steps());
    const int scored = (plan.trained.empty() ? 0 : 1) + plan.replicas;  // pictures of each sample that the loss is averaged over
    const double part = share / scored;
    Trajectory trajectory;
    {
      RetainedCalls retained = retention(plan);
      RetainedCalls* const kept = options_.engine.memory == Memory::retain ? &retained : nullptr;
      trajectory = rollout(pipeline, schedule, plan, std::move(condition), guidance, noise, counts, {.retained = kept});
      if (!plan.trained.empty()) differentiate(pipeline, trajectory, noise, part, kept, counts, report);
    }
    for (int i = 0; i < plan.replicas && report.skip_reason.empty(); ++i) {
      RetainedCalls retained = retention(replica_plan(schedule.num_steps()));
      RetainedCalls* const kept = options_.engine.memory == Memory::retain ? &retained : nullptr;
      const Trajectory replica = renoised(pipeline, schedule, trajectory.clean, trajectory.condition, guidance, noise, counts, kept);
      differentiate(pipeline, replica, noise, part, kept, counts, report);
    }
  }

  RetainedCalls retention(const StepPlan& plan) const {
    return {[this, plan](int k) { return enters_input(gradient_stop_, plan, k); }};
  }

  /// Scores one trajectory and adds its gradients; its losses weigh `share` of the update's.
  template <DiffusionPipeline Pipeline>
  void differentiate(Pipeline& pipeline, const Trajectory& trajectory, const SampleNoise& noise, double share, RetainedCalls* retained, NetworkCounts& counts, UpdateReport& report) {
    const double each = share / static_cast<double>(trajectory.clean.size(0));
    const RewardGradient scored = reward_gradient(pipeline, reward_, trajectory.clean, trajectory.condition.prompts, noise.seeds(),
                                                  [this](const Tensor& rewards) { return objective_.losses(rewards); }, options_.engine.decode_batch);
    report.reward += each * scored.reward;
    report.loss += each * scored.loss;
    for (const auto& [name, sum] : scored.components) report.components[name] += each * sum;
    if (!scored.skip_reason.empty()) {
      report.skip_reason = scored.skip_reason;
      return;
    }
    const SweepResult sweep = adjoint_sweep(pipeline, trajectory, each * scored.gradient, gradient_stop_, regularizer_, counts,
                                            {.replay_batch = options_.engine.replay_batch, .retained = retained, .batch_share = share});
    report.regularizer += sweep.regularizer;
    report.loss += sweep.regularizer;
  }

  template <DiffusionPipeline Pipeline>
  bool regularizer_alternates() const {
    if constexpr (HasOwnLoss<Regularizer, Pipeline>) return regularizer_.alternates();
    else return false;
  }

  /// Adds the gradients of the regularizer's own loss. False if it has none.
  template <DiffusionPipeline Pipeline>
  bool accumulate_own_loss([[maybe_unused]] Pipeline& pipeline, [[maybe_unused]] Rng& rng, [[maybe_unused]] NetworkCounts& counts, [[maybe_unused]] UpdateReport& report) {
    if constexpr (HasOwnLoss<Regularizer, Pipeline>) {
      const torch::AutoGradMode grad(true);
      const Tensor loss = regularizer_.own_loss(pipeline, rng);
      if (!loss.defined()) return false;
      ++counts.forwards;
      ++counts.backwards;
      report.regularizer += loss.template item<double>();
      report.loss += loss.template item<double>();
      torch::autograd::backward({loss}, {});
      return true;
    } else {
      return false;
    }
  }

  /// Clips and steps, or skips.
  template <Optimizer Optim>
  void finish(Optim& optimizer, UpdateReport& report) {
    const torch::NoGradGuard no_grad;
    if (report.skip_reason.empty()) {
      report.gradient_norm = clip_gradients(optimizer, options_.engine.gradient_clip);
      REWARD_TUNER_CHECK(report.gradient_norm >= 0 || std::isnan(report.gradient_norm),
                         "[RewardTuner] no parameter of the optimizer received a gradient: it must hold tensors of this pipeline (Lora::parameters())");
      if (!std::isfinite(report.gradient_norm)) report.skip_reason = "the gradient of the parameters is not finite";
    }
    ++state_.updates;
    if (!report.skip_reason.empty()) {
      report.skipped = true;
      optimizer.zero_grad();
      ++state_.skipped;
      ++state_.skipped_in_a_row;
      REWARD_TUNER_CHECK(state_.skipped_in_a_row < options_.engine.max_skipped_in_a_row, "[RewardTuner] ", state_.skipped_in_a_row, " updates in a row were skipped because ",
                         report.skip_reason, "; parameters are as before the first of them");
    } else {
      optimizer.step();
      state_.skipped_in_a_row = 0;
    }
    report.skipped_updates = state_.skipped;
  }

  /// The alternating regularizer's own step, left out if its gradient is not finite.
  template <Optimizer Optim>
  void step_alone(Optim& optimizer, UpdateReport& report) {
    const torch::NoGradGuard no_grad;
    if (std::isfinite(clip_gradients(optimizer, options_.engine.gradient_clip))) {
      optimizer.step();
      return;
    }
    optimizer.zero_grad();
    report.skip_reason = "the gradient of the regularizer's own step is not finite; the reward's step was made";
  }

  Options options_;
  Reward reward_;
  Sampler sampler_;
  GradientStop gradient_stop_;
  StepSelection steps_;
  Exploration exploration_;
  Objective objective_;
  Regularizer regularizer_;
  TunerState state_;
};

/// A tuner of the given method: make<DRTune>(reward, {.sampler = {...}}). Further policies go after the method: make<DRTune, Ddpm>(reward).
template <template <class...> class Method, class... More, class Reward>
auto make(Reward reward, typename Method<Reward, More...>::Options options = {}) {
  return Method<Reward, More...>(std::move(reward), std::move(options));
}

}  // namespace reward_tuner
