// The plain policy gradient over every step of the sampler.
#pragma once
#include <reward_tuner/advantages/per_prompt.hpp>
#include <reward_tuner/objectives/reinforce.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Fan & Lee 2023, "Optimizing DDPM Sampling with Shortcut Fine-Tuning" (SFT-PG); the PG of the B2-DiffuRL paper, Table
/// 2.
template <class Reward, class... More>
using PolicyGradient = Method<Reward, Defaults<Reinforce, AllSteps, PerPrompt>, More...>;

}  // namespace reward_tuner
