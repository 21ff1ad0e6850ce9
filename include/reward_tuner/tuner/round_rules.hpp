// Rules shared by every surrogate that learns from sampled images.
#pragma once
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>

namespace reward_tuner {

/// The rules that surrogates with rounds share (SurrogateRules numbers them).
struct RoundRules {
  using DefaultSteps = AllSteps;
  static constexpr bool kSamples = true;
  static constexpr double kGradientClip = 1;  // ddpo-pytorch
  static constexpr std::string_view kKept = "; optimizer steps that a round had made before stay made";

  template <class... Given>
  struct AllowsRounds {
    static_assert(detail::count_role<GradientStopRole, Given...> == 0,
                  "[RewardTuner] a GradientStopPolicy cannot be combined with ClippedRatio, Reinforce, KlRegularized, "
                  "Preference or RewardWeighted, which do not differentiate the reward");
  };

  template <class Sampler>
  static typename Sampler::Options completed(typename Sampler::Options options) {
    return options;
  }
  static void check(const EngineOptions& engine, std::string_view name) {
    REWARD_TUNER_CHECK(engine.memory == Memory::kReplay && engine.replay_batch == 1,
                       "[RewardTuner] engine.memory and engine.replay_batch cannot be combined with ", name,
                       ", whose transitions are always replayed, objective.round.rows at a time");
  }
  static void check(const StepPlan& plan, const SamplerSchedule&, std::string_view name) {
    REWARD_TUNER_CHECK(!plan.jumps && plan.replicas == 0 && plan.weights.empty(), "[RewardTuner] ", name,
                       " wants rollouts that run to the end, with steps of equal weight; got the plan ", plan);
  }
  static std::vector<int> trainable(const SamplerSchedule&) { return {}; }
};

}  // namespace reward_tuner
