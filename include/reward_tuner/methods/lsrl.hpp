// Large-scale reinforcement learning: clipped policy gradient on a few random steps, advantages per batch, and
// the pre-training loss.
#pragma once
#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Zhang et al. 2024, "Large-scale Reinforcement Learning for Diffusion Models", Alg. 1; several tasks are joined by
/// MultiTask.
template <class Reward, class... More>
using LSRL = Method<Reward, Defaults<ClippedRatio, RandomSteps, PerBatch, PretrainingLoss>, More...>;

}  // namespace reward_tuner
