// Which policy plays which role in a RewardTuner, with the defaults; a contradiction is one sentence at compile time.
#pragma once
#include <type_traits>

#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/branching/no_branching.hpp>
#include <reward_tuner/core/explain.hpp>
#include <reward_tuner/exploration/no_exploration.hpp>
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/objectives/direct_gradient.hpp>
#include <reward_tuner/regularizers/no_regularizer.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/tuner/denoising_round.hpp>  // IWYU pragma: keep: rules of a surrogate
#include <reward_tuner/tuner/direct_update.hpp>    // IWYU pragma: keep: rules of a surrogate
#include <reward_tuner/tuner/log_prob_round.hpp>   // IWYU pragma: keep: rules of a surrogate

namespace reward_tuner::detail {

/// The given objective, or the default for one whose mistake was explained.
template <class Given>
using usable_objective =
    std::conditional_t<require::options<Given> && require::surrogate_trait<Given>, Given, DirectGradient>;

/// Options of a role that this objective does not use: empty.
struct NoOptions {};
/// Placeholder policy of such a role.
struct Unused {
  using Options = NoOptions;
  explicit Unused(NoOptions = {}) {}
};

/// The policies that have options, by role.
template <class S, class G, class T, class E, class O, class A, class B, class R>
struct PoliciesWithOptions {
  using Sampler = S;
  using GradientStop = G;
  using StepSelection = T;
  using Exploration = E;
  using Objective = O;
  using Advantage = A;
  using Branching = B;
  using Regularizer = R;
};

/// Asserts that every policy has a role and that no role is given twice.
template <Policy... Policies>
struct OnePolicyPerRole {
  template <class Role>
  static constexpr int count = count_role<Role, Policies...>;
  static_assert(count<RewardRole> == 1,
                "[RewardTuner] needs exactly one RewardPolicy; combine several with WeightedSum<...>");
  static_assert(count<SamplerRole> <= 1, "[RewardTuner] two SamplerPolicies given; name one");
  static_assert(count<GradientStopRole> <= 1, "[RewardTuner] two GradientStopPolicies given; name one");
  static_assert(count<StepSelectionRole> <= 1, "[RewardTuner] two StepSelectionPolicies given; name one");
  static_assert(count<ExplorationRole> <= 1, "[RewardTuner] two ExplorationPolicies given; name one");
  static_assert(count<ObjectiveRole> <= 1, "[RewardTuner] two ObjectivePolicies given; name one");
  static_assert(count<AdvantageRole> <= 1, "[RewardTuner] two AdvantagePolicies given; name one");
  static_assert(count<BranchingRole> <= 1, "[RewardTuner] two BranchingPolicies given; name one");
  static_assert(count<RegularizerRole> <= 1, "[RewardTuner] two RegularizerPolicies given; name one");
  static constexpr int known = count<RewardRole> + count<SamplerRole> + count<GradientStopRole> +
                               count<StepSelectionRole> + count<ExplorationRole> + count<ObjectiveRole> +
                               count<AdvantageRole> + count<BranchingRole> + count<RegularizerRole>;
  static_assert(known == sizeof...(Policies), "[RewardTuner] a policy names a Role that RewardTuner does not know");
  static constexpr bool value = true;
};

/// The policies by role. Defaults: Ddim, StopInput, NoExploration, DirectGradient, NoRegularizer, PerBatch,
/// NoBranching; SpreadSteps with DirectGradient, else AllSteps. What a surrogate allows is said beside its class.
template <Policy... Policies>
struct TunerPolicies {
  using GivenObjective = policy_for<ObjectiveRole, DirectGradient, Policies...>;
  using Objective = usable_objective<GivenObjective>;
  static constexpr Surrogate kSurrogate = Objective::kSurrogate;
  using Rules = SurrogateRules<kSurrogate>;
  using DefaultSteps = typename Rules::DefaultSteps;

  using Reward = policy_for<RewardRole, NoReward, Policies...>;
  using Sampler = usable<policy_for<SamplerRole, Ddim, Policies...>, Ddim>;
  using GradientStop = usable<policy_for<GradientStopRole, StopInput, Policies...>, StopInput>;
  using StepSelection = usable<policy_for<StepSelectionRole, DefaultSteps, Policies...>, DefaultSteps>;
  using Exploration = usable<policy_for<ExplorationRole, NoExploration, Policies...>, NoExploration>;
  using Advantage = std::conditional_t<Rules::kAdvantages,
                                       usable<policy_for<AdvantageRole, PerBatch, Policies...>, PerBatch>, Unused>;
  using Branching =
      std::conditional_t<Rules::kAdvantages, usable<policy_for<BranchingRole, NoBranching, Policies...>, NoBranching>,
                         Unused>;
  using Regularizer = usable<policy_for<RegularizerRole, NoRegularizer, Policies...>, NoRegularizer>;
  using WithOptions = PoliciesWithOptions<Sampler, GradientStop, StepSelection, Exploration, Objective, Advantage,
                                          Branching, Regularizer>;

  // At class scope, so that a mistake prints its sentence and nothing else; each in a class of its own, as clang takes
  // the names of a class with a failed assertion for unknown.
  static_assert(OnePolicyPerRole<Policies...>::value);
  static_assert(ExplainReward<Reward>::value && ExplainSampler<policy_for<SamplerRole, Ddim, Policies...>>::value &&
                ExplainGradientStop<policy_for<GradientStopRole, StopInput, Policies...>>::value &&
                ExplainStepSelection<policy_for<StepSelectionRole, DefaultSteps, Policies...>>::value &&
                ExplainExploration<policy_for<ExplorationRole, NoExploration, Policies...>>::value &&
                ExplainObjective<GivenObjective>::value &&
                ExplainAdvantage<policy_for<AdvantageRole, PerBatch, Policies...>>::value &&
                ExplainBranching<policy_for<BranchingRole, NoBranching, Policies...>>::value &&
                ExplainRegularizer<policy_for<RegularizerRole, NoRegularizer, Policies...>>::value);
  static_assert(Rules::template Allows<Reward, Sampler, Objective, Regularizer, Policies...>::value);
};

}  // namespace reward_tuner::detail
