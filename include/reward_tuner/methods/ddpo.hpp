// DDPO: the clipped policy gradient over every step of the sampler.
#pragma once
#include <reward_tuner/advantages/per_prompt.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Black et al. 2024, "Training Diffusion Models with Reinforcement Learning", DDPO-IS.
template <class Reward, class... More>
using DDPO = Method<Reward, Defaults<ClippedRatio, AllSteps, PerPrompt>, More...>;

}  // namespace reward_tuner
