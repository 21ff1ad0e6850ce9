// Large-scale reinforcement learning: clipped policy gradient on a few random steps, advantages per batch, and
// the pre-training loss.
#pragma once
#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/objectives/clipped_ratio.hpp>
#include <reward_tuner/regularizers/pretraining_loss.hpp>
#include <reward_tuner/step_selection/random_steps.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// ClippedRatio with an optimizer step for each trained timestep over all images of the round (Zhang et al. 2024, Alg.
/// 1), unless round.updates_per_epoch is set.
class TimestepRatio : public ClippedRatio {
 public:
  using ClippedRatio::ClippedRatio;
  static ClippedRatioOptions completed(ClippedRatioOptions options, const ObjectiveContext& context) {
    if (options.round.updates_per_epoch == 0) options.round.step_per_timestep = true;
    return ClippedRatio::completed(options, context);
  }
};
static_assert(LogProbObjective<TimestepRatio>);

/// Zhang et al. 2024, "Large-scale Reinforcement Learning for Diffusion Models", Alg. 1; several tasks are joined by
/// MultiTask. Given images, the pre-training loss has an optimizer step of its own at the end of the update.
template <class Reward, class... More>
using LSRL = Method<Reward, Defaults<TimestepRatio, RandomSteps, PerBatch, PretrainingLoss>, More...>;

}  // namespace reward_tuner
