// What a tuner is made of: the policies with their options, what it remembers, and what every update draws from them.
#pragma once
#include <ATen/ops/arange.h>
#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/engine/condition_source.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/rollout_setup.hpp>
#include <reward_tuner/engine/sample_noise.hpp>
#include <reward_tuner/engine/trained_rows.hpp>
#include <reward_tuner/ranks/ranks.hpp>
#include <reward_tuner/tuner/tuner_policies.hpp>
#include <reward_tuner/tuner/tuner_state.hpp>

namespace reward_tuner {

/// What the rollouts of an update begin with: one sample for each copy of each prompt, prompt by prompt.
struct Drawn {
  RolloutSetup explored;   ///< as training rollouts see it
  ConditionSource source;  ///< of its condition
  ConditionSource plain;   ///< the same without exploration
  SampleNoise noise;
};

/// The options of a tuner; they nest as the roles are named. `Roles` is TunerPolicies<...>::WithOptions: the reward is
/// not among them, so tuners of different rewards share their options' type.
template <class Roles>
struct TunerOptions {
  typename Roles::Sampler::Options sampler = {};
  typename Roles::GradientStop::Options gradient_stop = {};
  typename Roles::StepSelection::Options steps = {};
  typename Roles::Exploration::Options exploration = {};
  typename Roles::Objective::Options objective = {};
  typename Roles::Advantage::Options advantage = {};
  typename Roles::Branching::Options branching = {};
  typename Roles::Regularizer::Options regularizer = {};
  EngineOptions engine = {};
};

/// The policies of RewardTuner with what it remembers. `Policies` is detail::TunerPolicies<...>.
template <class Policies>
struct TunerParts {
  using Roles = Policies;
  using Objective = typename Roles::Objective;
  using Rules = typename Roles::Rules;

  /// Errors: an option out of range, options that do not fit together.
  TunerParts(typename Roles::Reward given, TunerOptions<typename Roles::WithOptions> wanted)
      : options(completed(std::move(wanted))), reward(std::move(given)) {
    check_options(options.engine);
    Rules::check(options.engine, Objective::kName);
    steps.check(options.sampler.num_steps);
    exploration.guidance(sampler.guidance(), 0, options.sampler.num_steps);  // throws if it does not fit that scale
  }

  TunerOptions<typename Roles::WithOptions> options;
  typename Roles::Reward reward;
  typename Roles::Sampler sampler{options.sampler};
  typename Roles::GradientStop gradient_stop{options.gradient_stop};
  typename Roles::StepSelection steps{options.steps};
  typename Roles::Exploration exploration{options.exploration};
  Objective objective{options.objective};
  typename Roles::Advantage advantage{options.advantage};
  typename Roles::Branching branching{options.branching};
  typename Roles::Regularizer regularizer{options.regularizer};
  TunerState state = {};
  std::optional<std::int64_t> planned = {};  ///< updates of the whole run
  Ranks ranks = {};                          ///< what an update computes is divided among these

  /// Gives the pipeline's CLIP to a reward that wants one and has none.
  template <DiffusionPipeline Pipeline>
  void bind_clip([[maybe_unused]] Pipeline& pipeline) {
    using Reward = typename Roles::Reward;
    if constexpr (RewardTraits<Reward>::kTakesClip) {
      if (!reward.needs_clip()) return;
      if constexpr (requires { pipeline.clip(); }) {
        reward.bind_clip(pipeline.clip());
      } else {
        detail::fail("[RewardTuner] the reward ", Reward::kName,
                     " needs a CLIP, and this pipeline has none: give one to the reward");
      }
    }
  }

  /// Completes what the objective's options leave to the model and to other policies.
  template <DiffusionPipeline Pipeline>
  void complete_objective([[maybe_unused]] Pipeline& pipeline) {
    if constexpr (ObjectiveTraits<Objective>::kCompletes) {
      ObjectiveContext context{.latent_size = 1};
      for (const std::int64_t size : std::vector<std::int64_t>(pipeline.latent_shape(1))) context.latent_size *= size;
      if constexpr (Rules::kAdvantages) context.branches = branching.branches();
      objective = Objective(ObjectiveTraits<Objective>::completed(options.objective, context));
    }
  }

  /// Of the next update.
  PlanContext context(int num_steps) const { return {num_steps, state.updates, planned, {}}; }
  /// Whether the next update explores.
  bool exploring() const {
    return ExplorationTraits<typename Roles::Exploration>::active(exploration, context(options.sampler.num_steps));
  }
  /// Guidance scale of every step without exploration.
  PerStep<double> plain_guidance(int num_steps) const { return PerStep<double>(num_steps, sampler.guidance()); }
  /// Guidance scale of every step of the next training rollout.
  PerStep<double> guidance(int num_steps) const {
    PerStep<double> scales = plain_guidance(num_steps);
    if (exploring())
      for (int k = 0; k < num_steps; ++k) scales(k) = exploration.guidance(sampler.guidance(), k, num_steps);
    return scales;
  }

  /// Plan, condition and noise of the next update, with `copies` samples of every prompt.
  template <DiffusionPipeline Pipeline>
  Drawn draw(Pipeline& pipeline, const std::vector<std::string>& prompts, std::int64_t copies, Rng& rng) const {
    const SamplerSchedule schedule = sampler.schedule(pipeline.noise_schedule());
    PlanContext now = context(schedule.num_steps());
    now.trainable = Rules::trainable(schedule);
    const StepPlan plan = steps.plan(now, rng);
    check_plan(plan, schedule.num_steps());
    Rules::check(plan, schedule, Objective::kName);
    ConditionSource plain{encode_without_gradient(pipeline, prompts), [copies](const Condition& encoded) {
                            if (copies <= 1) return encoded;
                            return encoded.select(at::arange(encoded.size(), at::kLong).repeat_interleave(copies));
                          }};
    if (compares_with_untuned() && trains_condition(pipeline)) {
      const auto scope = pipeline.reference_scope();
      plain.untuned = encode_without_gradient(pipeline, prompts);
    }
    SampleNoise noise = SampleNoise::draw(plain.encoded.size() * copies, rng);
    ConditionSource source = explored(plain, noise);
    return {{schedule, plan, source.condition(), guidance(schedule.num_steps())},
            std::move(source),
            std::move(plain),
            std::move(noise)};
  }

 private:
  /// Exploration has a stream of its own, so that one which changes nothing leaves every other draw as it was, and so
  /// that it can be repeated.
  ConditionSource explored(ConditionSource source, const SampleNoise& noise) const {
    if (!exploring()) return source;
    constexpr std::uint64_t kExplorationStream = 0xE0;
    source.arrange = [plain = std::move(source.arrange), seed = noise.seeds().front(),
                      policy = exploration](const Condition& encoded) {
      Rng own = Rng::derive(seed, kExplorationStream);
      return policy.condition(plain(encoded), own);
    };
    return source;
  }
  /// Whether something of the update is compared with the untuned network, or sampled from it.
  bool compares_with_untuned() const {
    return reference_weight(regularizer) > 0 || ObjectiveTraits<Objective>::needs_reference(objective) ||
           ObjectiveTraits<Objective>::samples_reference(objective);
  }
  static TunerOptions<typename Roles::WithOptions> completed(TunerOptions<typename Roles::WithOptions> wanted) {
    wanted.sampler = Rules::template completed<typename Roles::Sampler>(std::move(wanted.sampler));
    if (!wanted.engine.gradient_clip) wanted.engine.gradient_clip = Rules::kGradientClip;
    return wanted;
  }
};

}  // namespace reward_tuner
