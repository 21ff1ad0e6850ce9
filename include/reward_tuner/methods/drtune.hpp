// DRTune: deep supervision of spread steps with the gradient stopped at the network's input.
#pragma once
#include <reward_tuner/gradient_stop/stop_input.hpp>
#include <reward_tuner/step_selection/spread_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Wu et al. 2024, "Deep Reward Supervisions for Tuning Text-to-Image Diffusion Models", Alg. 1.
template <class Reward, class... More>
using DRTune = Method<Reward, Defaults<StopInput>, SpreadSteps, More...>;

}  // namespace reward_tuner
