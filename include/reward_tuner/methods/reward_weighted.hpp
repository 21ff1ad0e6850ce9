// Reward-weighted denoising of images of the untuned network; with RewardWeighting::kBest and frozen = false it is
// RAFT.
#pragma once
#include <reward_tuner/objectives/reward_weighted.hpp>
#include <reward_tuner/tuner/method.hpp>

namespace reward_tuner {

/// Lee et al. 2023, "Aligning Text-to-Image Models using Human Feedback"; Dong et al. 2023, "RAFT"; large-scale RL
/// paper, appendix A.
template <class Reward, class... More>
using RewardWeightedTraining = Method<Reward, Defaults<RewardWeighted>, More...>;

}  // namespace reward_tuner
