// Rewards that can be given a CLIP after construction: the tuner binds the pipeline's own to them.
#pragma once
#include <memory>

#include <reward_tuner/core/explain.hpp>

namespace reward_tuner {

/// True while `reward` wants a CLIP and has none; false for rewards that never want one.
template <class Reward>
bool reward_needs_clip([[maybe_unused]] const Reward& reward) {
  static_assert(detail::ExplainReward<Reward>::value);
  if constexpr (RewardTraits<Reward>::kTakesClip) return reward.needs_clip();
  else return false;
}

/// Gives `clip` to a reward that wants one; leaves every other reward, and one that was given its own, as it is.
template <class Reward>
void reward_bind_clip([[maybe_unused]] Reward& reward, [[maybe_unused]] const std::shared_ptr<const ClipModel>& clip) {
  if constexpr (RewardTraits<Reward>::kTakesClip) {
    if (reward.needs_clip()) reward.bind_clip(clip);
  }
}

}  // namespace reward_tuner
