// Online DPO: preferences between branches of one root, step by step.
#pragma once
#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/branching/best_and_worst.hpp>
#include <reward_tuner/objectives/preference.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Yang et al. 2024, "Using Human Feedback to Fine-tune Diffusion Models without Any Reward Model" (D3PO), with a
/// reward as the judge.
template <class Reward, class... More>
using DPO = Method<Reward, Defaults<Preference, AllSteps, BestAndWorst, PerGroup>, More...>;

}  // namespace reward_tuner
