// The form of every method: RewardTuner with the policies that define the method, and replaceable defaults.
#pragma once
#include <type_traits>

#include <reward_tuner/tuner/reward_tuner.hpp>

namespace reward_tuner {

/// Default policies of a method.
template <class... Policies>
struct Defaults {};

namespace detail {

template <class Tuner, class Rest>
struct with_defaults;
template <class... Policies>
struct with_defaults<RewardTuner<Policies...>, Defaults<>> {
  using type = RewardTuner<Policies...>;
};
template <class... Policies, class First, class... Rest>
struct with_defaults<RewardTuner<Policies...>, Defaults<First, Rest...>>
    : with_defaults<std::conditional_t<count_role<typename First::Role, Policies...> == 0,
                                       RewardTuner<Policies..., First>, RewardTuner<Policies...>>,
                    Defaults<Rest...>> {};

}  // namespace detail

/// RewardTuner<Reward, Policies..., and the defaults for the roles not among them>.
/// Example: with `using DRaFT = Method<Reward, Defaults<PassInput>, LastSteps, More...>` DRaFT<Reward> back-propagates
/// through the network's inputs, DRaFT<Reward, StopInput> does not, and its step selection cannot be replaced.
template <class Reward, class Defaults, class... Policies>
using Method = typename detail::with_defaults<RewardTuner<Reward, Policies...>, Defaults>::type;

}  // namespace reward_tuner
