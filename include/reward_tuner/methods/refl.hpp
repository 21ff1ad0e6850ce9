// ReFL: one random late step, and the reward of the clean sample predicted from it.
#pragma once
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/step_selection/late_jump.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Xu et al. 2023, "ImageReward: Learning and Evaluating Human Preferences for Text-to-Image Generation", Alg. 1. With
/// `PretrainingLoss` among the further policies it has the paper's second loss.
template <class Reward, class... More>
using ReFL = Method<Reward, Defaults<PassInput>, LateJump, More...>;

}  // namespace reward_tuner
