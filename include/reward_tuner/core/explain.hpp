// One sentence for each thing a policy lacks: the atoms of concepts.hpp asserted one by one at class scope, so that the
// first missing one is the only error a compiler prints.
#pragma once
#include <string_view>
#include <type_traits>

#include <reward_tuner/core/concepts.hpp>

namespace reward_tuner::detail {

/// Passes the value through if `earlier` holds; otherwise true, so that one mistake gives one sentence.
template <bool Earlier, bool Here>
inline constexpr bool only_if = !Earlier || Here;

// Each explanation is a class template: its static_asserts fire once, where a RewardTuner names it as a member.
template <class P>
struct ExplainReward {
  static constexpr bool n = require::name<P>, d = require::differentiable_trait<P>, g = require::per_group_trait<P>,
                        s = require::score<P>;
  static_assert(n, "[RewardPolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, d>, "[RewardPolicy] missing: static constexpr bool kDifferentiable");
  static_assert(only_if < n && d, g >, "[RewardPolicy] missing: static constexpr bool kPerGroup");
  static_assert(only_if < n && d && g, s >, "[RewardPolicy] missing: RewardResult score(const RewardInput&) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainSampler {
  static constexpr bool n = require::name<P>, o = require::options<P>, t = require::num_steps<P>,
                        s = require::schedule<P>, g = require::guidance_scale<P>;
  static_assert(n, "[SamplerPolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[SamplerPolicy] missing: a nested type Options and a constructor from it");
  static_assert(only_if < n && o, t >, "[SamplerPolicy] missing: int num_steps in its Options");
  static_assert(only_if < n && o && t, s >,
                "[SamplerPolicy] missing: SamplerSchedule schedule(const NoiseSchedule&) const");
  static_assert(only_if < n && o && t && s, g >, "[SamplerPolicy] missing: double guidance() const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainGradientStop {
  static constexpr bool n = require::name<P>, o = require::options<P>, i = require::input_gain<P>,
                        a = require::always_stops_trait<P>;
  static_assert(n, "[GradientStopPolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[GradientStopPolicy] missing: a nested type Options and a constructor from it");
  static_assert(only_if < n && o, i >, "[GradientStopPolicy] missing: double input_gain(int k) const");
  static_assert(only_if < n && o && i, a >, "[GradientStopPolicy] missing: static constexpr bool kAlwaysStops");
  static constexpr bool value = true;
};

template <class P>
struct ExplainStepSelection {
  static constexpr bool n = require::name<P>, o = require::options<P>, p = require::plan<P>, c = require::check<P>;
  static_assert(n, "[StepSelectionPolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[StepSelectionPolicy] missing: a nested type Options and a constructor from it");
  static_assert(only_if < n && o, p >, "[StepSelectionPolicy] missing: StepPlan plan(const PlanContext&, Rng&) const");
  static_assert(only_if < n && o && p, c >, "[StepSelectionPolicy] missing: void check(int num_steps) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainExploration {
  static constexpr bool n = require::name<P>, o = require::options<P>, c = require::explore_condition<P>,
                        g = require::explore_guidance<P>;
  static_assert(n, "[ExplorationPolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[ExplorationPolicy] missing: a nested type Options and a constructor from it");
  static_assert(only_if < n && o, c >,
                "[ExplorationPolicy] missing: Condition condition(const Condition&, Rng&) const");
  static_assert(only_if < n && o && c, g >,
                "[ExplorationPolicy] missing: double guidance(double scale, int k, int num_steps) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainObjective {
  static constexpr bool n = require::name<P>, o = require::options<P>, s = require::surrogate_trait<P>;
  static_assert(n, "[ObjectivePolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[ObjectivePolicy] missing: a nested type Options and a constructor from it");
  static_assert(only_if < n && o, s >, "[ObjectivePolicy] missing: static constexpr Surrogate kSurrogate");
  static constexpr bool value = true;
};

template <class P>
struct ExplainAdvantage {
  static constexpr bool n = require::name<P>, o = require::options<P>, a = require::advantages<P>;
  static_assert(n, "[AdvantagePolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[AdvantagePolicy] missing: a nested type Options and a constructor from it");
  static_assert(
      only_if < n && o, a >,
      "[AdvantagePolicy] missing: std::vector<double> advantages(const AdvantageInput&, RewardHistory&) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainBranching {
  static constexpr bool n = require::name<P>, o = require::options<P>, b = require::branches<P>, c = require::choose<P>;
  static_assert(n, "[BranchingPolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[BranchingPolicy] missing: a nested type Options and a constructor from it");
  static_assert(only_if < n && o, b >, "[BranchingPolicy] missing: int branches() const");
  static_assert(only_if < n && o && b, c >,
                "[BranchingPolicy] missing: std::vector<BranchChoice> choose(const std::vector<double>&) const");
  static constexpr bool value = true;
};

template <class P>
struct ExplainRegularizer {
  static constexpr bool n = require::name<P>, o = require::options<P>, r = require::needs_reference_trait<P>,
                        w = require::regularizer_weight<P>;
  static_assert(n, "[RegularizerPolicy] missing: static constexpr std::string_view kName");
  static_assert(only_if<n, o>, "[RegularizerPolicy] missing: a nested type Options and a constructor from it");
  static_assert(only_if < n && o, r >, "[RegularizerPolicy] missing: static constexpr bool kNeedsReference");
  static_assert(only_if < n && o && r, w >, "[RegularizerPolicy] missing: double weight() const");
  static constexpr bool value = true;
};

/// Stands in for a reward that was not given, after that was said.
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
