// AlignProp: back-propagation through the sampler, cut at a random depth.
#pragma once
#include <reward_tuner/gradient_stop/pass_input.hpp>
#include <reward_tuner/step_selection/random_horizon.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Prabhudesai et al. 2023, "Aligning Text-to-Image Diffusion Models with Reward Backpropagation".
template <class Reward, class... More>
using AlignProp = Method<Reward, Defaults<PassInput>, RandomHorizon, More...>;

}  // namespace reward_tuner
