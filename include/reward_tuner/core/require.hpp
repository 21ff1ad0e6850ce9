// The named atoms of what a policy must have. Each is one member, so that an error can name it; what a policy may have
// is in policy_traits.hpp.
#pragma once
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/core/branch_choice.hpp>
#include <reward_tuner/core/round_options.hpp>
#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/core/surrogate.hpp>

namespace at {
class Tensor;
}

namespace reward_tuner {

class Rng;
struct Condition;
struct PolicyRows;
struct RewardInput;
struct RewardResult;

namespace require {

// ---- every role
template <class P, class Role>
concept role = std::same_as<typename P::Role, Role>;
template <class P>
concept name = requires {
  { P::kName } -> std::convertible_to<std::string_view>;
};
template <class P>
concept options = requires(typename P::Options o) {
  requires std::default_initializable<typename P::Options>;
  P(o);
};

// ---- rewards
template <class P>
concept score = requires(const P p, const RewardInput& input) {
  { p.score(input) } -> std::same_as<RewardResult>;
};
template <class P>
concept differentiable_trait = requires {
  { P::kDifferentiable } -> std::same_as<const bool&>;
  typename std::bool_constant<P::kDifferentiable>;
};
template <class P>
concept per_group_trait = requires {
  { P::kPerGroup } -> std::same_as<const bool&>;
  typename std::bool_constant<P::kPerGroup>;
};

// ---- samplers
template <class P>
concept num_steps = requires(const typename P::Options o) {
  { o.num_steps } -> std::convertible_to<int>;
};
template <class P>
concept schedule = requires(const P p, const NoiseSchedule& noise) {
  { p.schedule(noise) } -> std::same_as<SamplerSchedule>;
};
template <class P>
concept guidance_scale = requires(const P p) {
  { p.guidance() } -> std::convertible_to<double>;
};

// ---- gradient stops
template <class P>
concept input_gain = requires(const P p, int k) {
  { p.input_gain(k) } -> std::convertible_to<double>;
};
template <class P>
concept always_stops_trait = requires {
  { P::kAlwaysStops } -> std::same_as<const bool&>;
  typename std::bool_constant<P::kAlwaysStops>;
};

// ---- step selections
template <class P>
concept plan = requires(const P p, const PlanContext& context, Rng& rng) {
  { p.plan(context, rng) } -> std::same_as<StepPlan>;
};
template <class P>
concept check = requires(const P p, int num_steps) { p.check(num_steps); };

// ---- explorations
template <class P>
concept explore_condition = requires(const P p, const Condition& condition, Rng& rng) {
  { p.condition(condition, rng) } -> std::same_as<Condition>;
};
template <class P>
concept explore_guidance = requires(const P p, double guidance, int k, int num_steps) {
  { p.guidance(guidance, k, num_steps) } -> std::convertible_to<double>;
};

// ---- objectives
template <class P>
concept surrogate_trait = requires {
  { P::kSurrogate } -> std::same_as<const Surrogate&>;
  typename std::integral_constant<Surrogate, P::kSurrogate>;
};
template <class P, Surrogate S>
concept surrogate = surrogate_trait<P> && P::kSurrogate == S;
template <class P>
concept reward_losses = requires(const P p, const at::Tensor& rewards) {
  { p.losses(rewards) } -> std::same_as<at::Tensor>;
};
template <class P>
concept row_losses = requires(const P p, const PolicyRows& rows) {
  { p.losses(rows) } -> std::same_as<at::Tensor>;
};
template <class P>
concept weights = requires(const P p, const std::vector<double>& rewards, const std::vector<std::int64_t>& groups) {
  { p.weights(rewards, groups) } -> std::same_as<std::vector<double>>;
};
template <class P>
concept round_options = requires(const P p) {
  { p.options().round } -> std::same_as<const RoundOptions&>;  // by reference: a round keeps it
};

// ---- advantages
template <class P>
concept advantages = requires(const P p, const AdvantageInput& input, RewardHistory& history) {
  { p.advantages(input, history) } -> std::same_as<std::vector<double>>;
};

// ---- branchings
template <class P>
concept branches = requires(const P p) {
  { p.branches() } -> std::convertible_to<int>;
};
template <class P>
concept choose = requires(const P p, const std::vector<double>& scores) {
  { p.choose(scores) } -> std::same_as<std::vector<BranchChoice>>;
};

// ---- regularizers
template <class P>
concept needs_reference_trait = requires {
  { P::kNeedsReference } -> std::same_as<const bool&>;
  typename std::bool_constant<P::kNeedsReference>;
};
template <class P>
concept regularizer_weight = requires(const P p) {
  { p.weight() } -> std::convertible_to<double>;
};

}  // namespace require
}  // namespace reward_tuner
