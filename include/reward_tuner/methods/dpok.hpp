// DPOK: policy gradient with a divergence from the untuned network and a learned baseline.
#pragma once
#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>
#include <reward_tuner/step_selection/all_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Fan et al. 2023, "DPOK: Reinforcement Learning for Fine-tuning Text-to-Image Diffusion Models", Alg. 1.
template <class Reward, class... More>
using DPOK = Method<Reward, Defaults<KlRegularized, AllSteps, PerBatch>, More...>;

}  // namespace reward_tuner
