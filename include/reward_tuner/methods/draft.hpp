// DRaFT-K: full gradient through the last K steps; K = T is DRaFT without truncation.
#pragma once
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/step_selection/last_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Clark et al. 2024, "Directly Fine-Tuning Diffusion Models on Differentiable Rewards", section 4.2.
template <class Reward, class... More>
using DRaFT = Method<Reward, Defaults<PassInput>, LastSteps, More...>;

}  // namespace reward_tuner
