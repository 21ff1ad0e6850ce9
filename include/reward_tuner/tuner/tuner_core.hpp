// What every update needs, direct or by rounds: the policies with their options and state, the checks before an update
// and the accounts after it.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/log_prob.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/rollout.hpp>
#include <reward_tuner/optim/optimizer_concept.hpp>
#include <reward_tuner/optim/optimizer_step.hpp>
#include <reward_tuner/tensor/memory_meter.hpp>
#include <reward_tuner/tuner/own_loss.hpp>
#include <reward_tuner/tuner/tuner_policies.hpp>
#include <reward_tuner/tuner/tuner_state.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// The base of RewardTuner. `Roles` is detail::TunerPolicies<Policies...>.
template <class Roles>
class TunerCore {
 public:
  using Reward = typename Roles::Reward;
  using Sampler = typename Roles::Sampler;
  using GradientStop = typename Roles::GradientStop;
  using StepSelection = typename Roles::StepSelection;
  using Exploration = typename Roles::Exploration;
  using Objective = typename Roles::Objective;
  using Advantage =
      std::conditional_t<Roles::kSurrogate == Surrogate::kLogProb, typename Roles::Advantage, detail::Unused>;
  using Branching =
      std::conditional_t<Roles::kSurrogate == Surrogate::kLogProb, typename Roles::Branching, detail::Unused>;
  using Regularizer = typename Roles::Regularizer;
  static constexpr Surrogate kSurrogate = Roles::kSurrogate;
  static constexpr bool kSamples = Roles::kSamples;  ///< learns from sampled images and their rewards, by rounds

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
  explicit TunerCore(Reward reward, Options options = {})
      : options_(completed(std::move(options))),
        reward_(std::move(reward)),
        sampler_(options_.sampler),
        gradient_stop_(options_.gradient_stop),
        steps_(options_.steps),
        exploration_(options_.exploration),
        objective_(options_.objective),
        advantage_(options_.advantage),
        branching_(options_.branching),
        regularizer_(options_.regularizer) {
    check_options(options_.engine);
    REWARD_TUNER_CHECK(!kSamples || (options_.engine.memory == Memory::kReplay && options_.engine.replay_batch == 1),
                       "[RewardTuner] engine.memory and engine.replay_batch cannot be combined with ", Objective::kName,
                       ", whose transitions are always replayed, objective.round.rows at a time");
    steps_.check(options_.sampler.num_steps);
  }

  /// Guidance scale of every step of the next training rollout.
  std::vector<double> guidance_scales(int num_steps) const {
    std::vector<double> scales = plain_scales(num_steps);
    if (exploring())
      for (int k = 0; k < num_steps; ++k)
        scales[static_cast<std::size_t>(k)] = exploration_.guidance(sampler_.guidance(), k, num_steps);
    return scales;
  }

  const Options& options() const { return options_; }
  const Reward& reward() const { return reward_; }
  const Sampler& sampler() const { return sampler_; }
  const TunerState& state() const { return state_; }
  void load_state(const TunerState& state) { state_ = state; }

 protected:
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

  /// Gives the pipeline's CLIP to a reward that wants one and has none.
  template <DiffusionPipeline Pipeline>
  void bind_clip([[maybe_unused]] Pipeline& pipeline) {
    if constexpr (RewardTraits<Reward>::kTakesClip) {
      if (!reward_.needs_clip()) return;
      if constexpr (requires { pipeline.clip(); }) {
        reward_.bind_clip(pipeline.clip());
      } else {
        detail::fail("[RewardTuner] the reward ", Reward::kName,
                     " needs a CLIP, and this pipeline has none: give one to the reward");
      }
    }
  }

  static void check_prompts(const std::vector<std::string>& prompts) {
    REWARD_TUNER_CHECK(!prompts.empty(), "[RewardTuner] update expected at least one prompt, got none");
    for (std::size_t i = 0; i < prompts.size(); ++i)
      REWARD_TUNER_CHECK(prompts[i].find_first_not_of(" \t\r\n") != std::string::npos, "[RewardTuner] prompt ", i + 1,
                         " of ", prompts.size(), " is empty");
  }

  PlanContext context() const { return {.num_steps = options_.sampler.num_steps, .update = state_.updates}; }
  bool exploring() const { return ExplorationTraits<Exploration>::active(exploration_, context()); }
  /// The condition of a training rollout. Exploration has a stream of its own, so that one which changes nothing leaves
  /// every other draw as it was.
  Condition explore(const Condition& plain, const SampleNoise& noise) const {
    if (!exploring()) return plain;
    constexpr std::uint64_t kExplorationStream = 0xE0;
    Rng own = Rng::derive(noise.seeds().front(), kExplorationStream);
    return exploration_.condition(plain, own);
  }
  std::vector<double> plain_scales(int num_steps) const {
    return std::vector<double>(static_cast<std::size_t>(num_steps), sampler_.guidance());
  }
  static void add_counts(UpdateReport& report, const NetworkCounts& counts) {
    report.forwards += counts.forwards, report.backwards += counts.backwards;
    report.forward_samples += counts.forward_samples, report.backward_samples += counts.backward_samples;
  }

  StepPlan plan_steps(const SamplerSchedule& schedule, Rng& rng) const {
    const StepPlan plan = steps_.plan({schedule.num_steps(), state_.updates}, rng);
    check_plan(plan, schedule.num_steps());
    REWARD_TUNER_CHECK(!kSamples || (!plan.jumps && plan.replicas == 0 && plan.weights.empty()), "[RewardTuner] ",
                       Objective::kName,
                       " wants rollouts that run to the end, with steps of equal weight; got the plan ", plan);
    REWARD_TUNER_CHECK(
        kSurrogate != Surrogate::kLogProb || !stochastic_steps(schedule, plan.trained).empty(), "[RewardTuner] ",
        Objective::kName,
        " needs a sampler with log_prob: Ddpm, or Ddim with eta > 0; got no noise in any of the trained steps ", plan);
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
      REWARD_TUNER_CHECK(state_.skipped_in_a_row < options_.engine.max_skipped_in_a_row, "[RewardTuner] ",
                         state_.skipped_in_a_row, " updates in a row were skipped because ", report.skip_reason,
                         kSamples ? "; optimizer steps that a round had made before stay made"
                                  : "; parameters are as before the first of them");
    } else {
      state_.skipped_in_a_row = 0;
    }
    report.skipped_updates = state_.skipped;
  }

  /// The alternating regularizer's own step, left out if its gradient is not finite.
  template <DiffusionPipeline Pipeline, Optimizer Optim>
  void own_step(Pipeline& pipeline, Optim& optimizer, Rng& rng, NetworkCounts& counts, UpdateReport& report) {
    if (report.skipped || !RegularizerTraits<Regularizer>::alternates(regularizer_)) return;
    optimizer.zero_grad();
    if (accumulate_own_loss(regularizer_, pipeline, rng, counts, report) &&
        !std::isfinite(guarded_step(optimizer, options_.engine.gradient_clip)))
      report.warning = "the gradient of the regularizer's own step is not finite; the reward's step was made";
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

 private:
  static Options completed(Options options) {
    if constexpr (kSurrogate == Surrogate::kLogProb)
      options.sampler = SamplerTraits<Sampler>::stochastic(options.sampler);
    return options;
  }
};

}  // namespace reward_tuner
