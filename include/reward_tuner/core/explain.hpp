// One sentence for each thing a policy lacks or has with another signature: the atoms of concepts.hpp asserted one by
// one at class scope, so that the first one that fails is the only error a compiler prints.
#pragma once
#include <initializer_list>
#include <string_view>
#include <type_traits>

#include <reward_tuner/core/concepts.hpp>  // IWYU pragma: export
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/core/require.hpp>
#include <reward_tuner/core/roles.hpp>

namespace reward_tuner::detail {

/// Index of the first atom that does not hold; -1 if all do.
constexpr int first_missing(std::initializer_list<bool> atoms) {
  int index = 0;
  for (const bool holds : atoms) {
    if (!holds) return index;
    ++index;
  }
  return -1;
}

// Each explanation is a class template: its static_asserts fire once, where a RewardTuner names it as a member. The
// sentences stand in the order of the atoms.
template <class P>
struct ExplainReward {
  static constexpr int missing = first_missing(
      {require::name<P>, require::differentiable_trait<P>, require::per_group_trait<P>, require::score<P>,
       may::take_clip<P>, may::per_group<P>, may::differentiable<P>, may::score_later<P>, may::scores_later<P>});
  static_assert(missing != 0, "[RewardPolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1, "[RewardPolicy] missing: static constexpr bool kDifferentiable");
  static_assert(missing != 2, "[RewardPolicy] missing: static constexpr bool kPerGroup");
  static_assert(missing != 3, "[RewardPolicy] missing: RewardResult score(const RewardInput&) const");
  static_assert(missing != 4,
                "[RewardPolicy] optional members with another signature, expected: bool needs_clip() const and "
                "void bind_clip(std::shared_ptr<const ClipModel>)");
  static_assert(missing != 5,
                "[RewardPolicy] optional member with another signature, expected: bool per_group() const");
  static_assert(missing != 6,
                "[RewardPolicy] optional member with another signature, expected: bool differentiable() const");
  static_assert(missing != 7,
                "[RewardPolicy] optional member with another signature, expected: std::future<RewardResult> "
                "score_later(const RewardInput&) const");
  static_assert(missing != 8,
                "[RewardPolicy] optional member with another signature, expected: bool scores_later() const, beside "
                "score_later");
  static constexpr bool value = true;
};

template <class P>
struct ExplainSampler {
  static constexpr int missing =
      first_missing({require::name<P>, require::options<P>, require::num_steps<P>, require::schedule<P>,
                     require::guidance_scale<P>, may::kStochastic<P>, may::stochastic<P>});
  static_assert(missing != 0, "[SamplerPolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1, "[SamplerPolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(missing != 2, "[SamplerPolicy] missing: int num_steps in its Options");
  static_assert(missing != 3, "[SamplerPolicy] missing: SamplerSchedule schedule(const NoiseSchedule&) const");
  static_assert(missing != 4, "[SamplerPolicy] missing: double guidance() const");
  static_assert(missing != 5,
                "[SamplerPolicy] optional member with another signature, expected: static constexpr bool kStochastic");
  static_assert(missing != 6,
                "[SamplerPolicy] optional member with another signature, expected: static Options stochastic(Options)");
  static constexpr bool value = true;
};

template <class P>
struct ExplainGradientStop {
  static constexpr int missing =
      first_missing({require::name<P>, require::options<P>, require::input_gain<P>, require::always_stops_trait<P>});
  static_assert(missing != 0, "[GradientStopPolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1,
                "[GradientStopPolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(missing != 2, "[GradientStopPolicy] missing: double input_gain(int k) const");
  static_assert(missing != 3, "[GradientStopPolicy] missing: static constexpr bool kAlwaysStops");
  static constexpr bool value = true;
};

template <class P>
struct ExplainStepSelection {
  static constexpr int missing =
      first_missing({require::name<P>, require::options<P>, require::plan<P>, require::check<P>});
  static_assert(missing != 0, "[StepSelectionPolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1,
                "[StepSelectionPolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(missing != 2, "[StepSelectionPolicy] missing: StepPlan plan(const PlanContext&, Rng&) const");
  static_assert(missing != 3, "[StepSelectionPolicy] missing: void check(int num_steps) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainExploration {
  static constexpr int missing = first_missing({require::name<P>, require::options<P>, require::explore_condition<P>,
                                                require::explore_guidance<P>, may::active<P>});
  static_assert(missing != 0, "[ExplorationPolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1,
                "[ExplorationPolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(missing != 2, "[ExplorationPolicy] missing: Condition condition(const Condition&, Rng&) const");
  static_assert(missing != 3, "[ExplorationPolicy] missing: double guidance(double scale, int k, int num_steps) const");
  static_assert(
      missing != 4,
      "[ExplorationPolicy] optional member with another signature, expected: bool active(const PlanContext&) const");
  static constexpr bool value = true;
};

/// What an objective of one surrogate must and may have beyond every objective.
template <class P, Surrogate S>
struct ExplainSurrogate;

template <class P>
struct ExplainSurrogate<P, Surrogate::kReward> {
  static_assert(require::reward_losses<P>, "[RewardObjective] missing: Tensor losses(const Tensor& rewards) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainSurrogate<P, Surrogate::kLogProb> {
  static constexpr int missing =
      first_missing({require::row_losses<P>, require::round_options<P>, may::kPairs<P>, may::needs_reference<P>,
                     may::clip<P>, may::value_baseline<P>, may::default_group<P>, may::completed<P>});
  static_assert(missing != 0, "[LogProbObjective] missing: Tensor losses(const PolicyRows&) const");
  static_assert(missing != 1,
                "[LogProbObjective] missing: const Options& options() const, with RoundOptions round in its Options");
  static_assert(missing != 2,
                "[LogProbObjective] optional member with another signature, expected: static constexpr bool kPairs");
  static_assert(missing != 3,
                "[LogProbObjective] optional member with another signature, expected: bool needs_reference() const");
  static_assert(missing != 4,
                "[LogProbObjective] optional member with another signature, expected: double clip() const");
  static_assert(missing != 5,
                "[LogProbObjective] optional member with another signature, expected: "
                "const ValueBaselineOptions& value_baseline() const");
  static_assert(missing != 6,
                "[LogProbObjective] optional member with another signature, expected: int default_group() const");
  static_assert(missing != 7,
                "[LogProbObjective] optional member with another signature, expected: "
                "static Options completed(Options, const ObjectiveContext&)");
  static constexpr bool value = true;
};

template <class P>
struct ExplainSurrogate<P, Surrogate::kDenoising> {
  static constexpr int missing = first_missing({require::weights<P>, require::round_options<P>, may::noisings<P>,
                                                may::samples_reference<P>, may::default_group<P>});
  static_assert(missing != 0,
                "[DenoisingObjective] missing: std::vector<double> weights(const std::vector<double>& rewards, "
                "const std::vector<std::int64_t>& groups) const");
  static_assert(missing != 1,
                "[DenoisingObjective] missing: const Options& options() const, with RoundOptions round in its Options");
  static_assert(missing != 2,
                "[DenoisingObjective] optional member with another signature, expected: int noisings() const");
  static_assert(
      missing != 3,
      "[DenoisingObjective] optional member with another signature, expected: bool samples_reference() const");
  static_assert(missing != 4,
                "[DenoisingObjective] optional member with another signature, expected: int default_group() const");
  static constexpr bool value = true;
};

/// The same of an objective that names its surrogate; nothing of one that does not.
template <class P, bool Named>
struct ExplainItsSurrogate {
  static constexpr bool value = true;
};

template <class P>
struct ExplainItsSurrogate<P, true> : ExplainSurrogate<P, P::kSurrogate> {};

template <class P>
struct ExplainObjective {
  static constexpr int missing = first_missing({require::name<P>, require::options<P>, require::surrogate_trait<P>});
  static_assert(missing != 0, "[ObjectivePolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1,
                "[ObjectivePolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(missing != 2, "[ObjectivePolicy] missing: static constexpr Surrogate kSurrogate");
  static_assert(ExplainItsSurrogate<P, (missing < 0)>::value);
  static constexpr bool value = true;
};

template <class P>
struct ExplainAdvantage {
  static constexpr int missing =
      first_missing({require::name<P>, require::options<P>, require::advantages<P>, may::kDefaultGroup<P>});
  static_assert(missing != 0, "[AdvantagePolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1,
                "[AdvantagePolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(
      missing != 2,
      "[AdvantagePolicy] missing: std::vector<double> advantages(const AdvantageInput&, RewardHistory&) const");
  static_assert(
      missing != 3,
      "[AdvantagePolicy] optional member with another signature, expected: static constexpr int kDefaultGroup");
  static constexpr bool value = true;
};

template <class P>
struct ExplainBranching {
  static constexpr int missing =
      first_missing({require::name<P>, require::options<P>, require::branches<P>, require::choose<P>});
  static_assert(missing != 0, "[BranchingPolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1,
                "[BranchingPolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(missing != 2, "[BranchingPolicy] missing: int branches() const");
  static_assert(missing != 3,
                "[BranchingPolicy] missing: std::vector<BranchChoice> choose(const std::vector<double>&) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainRegularizer {
  static constexpr int missing =
      first_missing({require::name<P>, require::options<P>, require::needs_reference_trait<P>,
                     require::regularizer_weight<P>, may::own_loss<P>});
  static_assert(missing != 0, "[RegularizerPolicy] missing: static constexpr std::string_view kName");
  static_assert(missing != 1,
                "[RegularizerPolicy] missing: a nested type Options with defaults and a constructor from it");
  static_assert(missing != 2, "[RegularizerPolicy] missing: static constexpr bool kNeedsReference");
  static_assert(missing != 3, "[RegularizerPolicy] missing: double weight() const");
  static_assert(missing != 4,
                "[RegularizerPolicy] own_loss, own_rows and alternates come together, expected: "
                "Tensor own_loss(Pipeline&, Rng&) const, std::int64_t own_rows() const and bool alternates() const");
  static constexpr bool value = true;
};

/// Placeholder for a missing reward, after the error about it.
struct NoReward {
  using Role = RewardRole;
  static constexpr std::string_view kName = "none";
  static constexpr bool kDifferentiable = true, kPerGroup = false;
  RewardResult score(const RewardInput&) const;
};

/// The given policy, or the default for one without Options, after that was explained: the members made of Options stay
/// well formed.
template <class Given, class Default>
using usable = std::conditional_t<require::options<Given>, Given, Default>;

}  // namespace reward_tuner::detail
