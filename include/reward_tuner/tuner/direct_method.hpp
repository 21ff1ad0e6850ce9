// What the direct-gradient methods share: a step selection that is the method, and a gradient stop that may be replaced
// by naming another.
#pragma once
#include <type_traits>

#include <reward_tuner/tuner/reward_tuner.hpp>

namespace reward_tuner {

/// RewardTuner<Reward, Steps, More...> with the gradient stop `Stop` unless `More` names one.
/// Example: DRaFT<Reward> back-propagates through the network's inputs, DRaFT<Reward, StopInput> does not.
template <class Reward, class Stop, class Steps, class... More>
using DirectMethod = std::conditional_t<detail::count_role<GradientStopRole, More...> == 0,
                                        RewardTuner<Reward, Stop, Steps, More...>, RewardTuner<Reward, Steps, More...>>;

}  // namespace reward_tuner
