// B2-DiffuRL: backward progressive training and branch-based sampling around any objective on log-probabilities.
#pragma once
#include <reward_tuner/advantages/history.hpp>
#include <reward_tuner/branching/best_and_worst.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/step_selection/backward_window.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Hu et al. 2025, "Towards Better Alignment: Training Diffusion Models with Reinforcement Learning Against Sparse
/// Rewards", Alg. 1; name Reinforce, KlRegularized or Preference for the others of its Table 2.
template <class Reward, class... More>
using B2DiffuRL = Method<Reward, Defaults<ClippedRatio, BackwardWindow, BestAndWorst, History>, More...>;

}  // namespace reward_tuner
