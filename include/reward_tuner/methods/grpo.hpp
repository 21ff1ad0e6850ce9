// GRPO: the clipped policy gradient with advantages within the images of one prompt.
#pragma once
#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Liu et al. 2025, "Flow-GRPO", and Xue et al. 2025, "DanceGRPO", with the samplers of this library.
template <class Reward, class... More>
using GRPO = Method<Reward, Defaults<ClippedRatio, AllSteps, PerGroup>, More...>;

}  // namespace reward_tuner
