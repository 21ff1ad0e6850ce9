// What the methods that learn from samples share: default policies, each of which gives way to one of its role that the
// user names.
#pragma once
#include <type_traits>

#include <reward_tuner/tuner/reward_tuner.hpp>

namespace reward_tuner {

/// Default policies of a method.
template <class... Policies>
struct Defaults {};

namespace detail {

template <class Tuner, class Default>
struct with_default;
template <class... Policies, class Default>
struct with_default<RewardTuner<Policies...>, Default> {
  using type = std::conditional_t<count_role<typename Default::Role, Policies...> == 0,
                                  std::type_identity<RewardTuner<Policies..., Default>>,
                                  std::type_identity<RewardTuner<Policies...>>>::type;
};

template <class Tuner, class... Rest>
struct with_defaults {
  using type = Tuner;
};
template <class Tuner, class First, class... Rest>
struct with_defaults<Tuner, First, Rest...> : with_defaults<typename with_default<Tuner, First>::type, Rest...> {};

template <class Tuner, class List>
struct with_list;
template <class Tuner, class... Policies>
struct with_list<Tuner, Defaults<Policies...>> : with_defaults<Tuner, Policies...> {};

}  // namespace detail

/// RewardTuner<Reward, More..., and those of the method's defaults whose role nobody in More plays>.
/// Example: DDPO<Reward, RandomSteps> trains some of the steps, B2DiffuRL<Reward, Reinforce> has another objective.
template <class Reward, class List, class... More>
using SampledMethod = typename detail::with_list<RewardTuner<Reward, More...>, List>::type;

}  // namespace reward_tuner
