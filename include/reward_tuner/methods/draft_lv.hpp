// DRaFT-LV: the last step, trained at several noises of the result, for a gradient of lower variance.
#pragma once
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/step_selection/noised_tail.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Clark et al. 2024, "Directly Fine-Tuning Diffusion Models on Differentiable Rewards", section 4.2 (DRaFT-LV).
template <class Reward, class... More>
using DRaFTLV = Method<Reward, Defaults<PassInput>, NoisedTail, More...>;

}  // namespace reward_tuner
