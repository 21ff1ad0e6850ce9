// The roles a policy can play in a RewardTuner. A policy names its role by `using Role = ...`, so policies may stand in
// any order.
#pragma once
#include <type_traits>

namespace reward_tuner {

struct RewardRole {};         ///< scores finished images; the one role without a default
struct SamplerRole {};        ///< turns noise schedule and step count into the update x' = a*x + b*network(x) + s*noise
struct GradientStopRole {};   ///< how much of the adjoint enters the network's input
struct StepSelectionRole {};  ///< which sampler steps are trained, and where the rollout stops
struct ExplorationRole {};    ///< changes condition or guidance in training rollouts only
struct ObjectiveRole {};      ///< turns rewards into the cotangent of each trained step
struct AdvantageRole {};      ///< turns rewards into advantages, for objectives on log-probabilities
struct BranchingRole {};      ///< where a rollout forks, and which of its branches are trained
struct RegularizerRole {};    ///< an extra loss

/// Anything that names its role.
template <class P>
concept Policy = requires { typename P::Role; };

namespace detail {

template <class Role, class... Policies>
inline constexpr int count_role = (0 + ... + (std::is_same_v<typename Policies::Role, Role> ? 1 : 0));

template <class Role, class Default, class... Policies>
struct pick {
  using type = Default;
};
template <class Role, class Default, class First, class... Rest>
struct pick<Role, Default, First, Rest...> {
  using type = typename std::conditional_t<std::is_same_v<typename First::Role, Role>, std::type_identity<First>,
                                           pick<Role, Default, Rest...>>::type;
};

}  // namespace detail

/// The policy among `Policies` that plays `Role`, or `Default`.
template <class Role, class Default, class... Policies>
using policy_for = typename detail::pick<Role, Default, Policies...>::type;

}  // namespace reward_tuner
