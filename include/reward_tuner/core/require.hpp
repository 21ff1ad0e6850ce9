// The named atoms that the policy concepts are made of. Each is one thing a policy must offer, so that an error can
// name it.
#pragma once
#include <concepts>
#include <string_view>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/branch_choice.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/core/surrogate.hpp>

namespace reward_tuner {

class Rng;
struct Condition;
struct RewardInput;
struct RewardResult;

namespace require {

template <class P>
concept name = requires {
  { P::kName } -> std::convertible_to<std::string_view>;
};
template <class P>
concept options = requires(typename P::Options o) { P(o); };
template <class P>
concept num_steps = requires(const typename P::Options o) {
  { o.num_steps } -> std::convertible_to<int>;
};
template <class P, class Role>
concept role = std::same_as<typename P::Role, Role>;

template <class P>
concept score = requires(const P p, const RewardInput& input) {
  { p.score(input) } -> std::same_as<RewardResult>;
};
template <class P>
concept differentiable_trait = requires {
  { P::kDifferentiable } -> std::convertible_to<bool>;
};
template <class P>
concept per_group_trait = requires {
  { P::kPerGroup } -> std::convertible_to<bool>;
};

template <class P>
concept schedule = requires(const P p, const NoiseSchedule& noise) {
  { p.schedule(noise) } -> std::same_as<SamplerSchedule>;
};
template <class P>
concept guidance_scale = requires(const P p) {
  { p.guidance() } -> std::convertible_to<double>;
};

template <class P>
concept input_gain = requires(const P p, int k) {
  { p.input_gain(k) } -> std::convertible_to<double>;
};
template <class P>
concept always_stops_trait = requires {
  { P::kAlwaysStops } -> std::convertible_to<bool>;
};

template <class P>
concept plan = requires(const P p, const PlanContext& context, Rng& rng) {
  { p.plan(context, rng) } -> std::same_as<StepPlan>;
};
template <class P>
concept check = requires(const P p, int num_steps) { p.check(num_steps); };

template <class P>
concept explore_condition = requires(const P p, const Condition& condition, Rng& rng) {
  { p.condition(condition, rng) } -> std::same_as<Condition>;
};
template <class P>
concept explore_guidance = requires(const P p, double guidance, int k, int num_steps) {
  { p.guidance(guidance, k, num_steps) } -> std::convertible_to<double>;
};

template <class P>
concept stochastic_trait = requires {
  { P::kStochastic } -> std::convertible_to<bool>;
};

template <class P>
concept surrogate_trait = requires {
  { P::kSurrogate } -> std::convertible_to<Surrogate>;
};

template <class P>
concept advantages = requires(const P p, const AdvantageInput& input, RewardHistory& history) {
  { p.advantages(input, history) } -> std::same_as<std::vector<double>>;
};

template <class P>
concept branches = requires(const P p) {
  { p.branches() } -> std::convertible_to<int>;
};
template <class P>
concept choose = requires(const P p, const std::vector<double>& scores) {
  { p.choose(scores) } -> std::same_as<std::vector<BranchChoice>>;
};

template <class P>
concept needs_reference_trait = requires {
  { P::kNeedsReference } -> std::convertible_to<bool>;
};
template <class P>
concept regularizer_weight = requires(const P p) {
  { p.weight() } -> std::convertible_to<double>;
};

}  // namespace require
}  // namespace reward_tuner
