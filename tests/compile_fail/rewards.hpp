// Rewards for the mistakes that only a RewardTuner can see.
#pragma once
#include <string_view>

#include <reward_tuner/methods/draft.hpp>
#include <reward_tuner/methods/drtune.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

/// A complete reward; `Differentiable` says whether gradient flows.
template <bool Differentiable>
struct StandInReward {
  using Role = reward_tuner::RewardRole;
  static constexpr std::string_view kName = "stand_in";
  static constexpr bool kDifferentiable = Differentiable;
  static constexpr bool kPerGroup = false;
  reward_tuner::RewardResult score(const reward_tuner::RewardInput& input) const {
    return {input.images.mean({1, 2, 3})};
  }
};
using Reward = StandInReward<true>;
using BlackBox = StandInReward<false>;

/// Has everything of a reward but the role.
struct NotAReward : Reward {
  using Role = reward_tuner::StepSelectionRole;
};
