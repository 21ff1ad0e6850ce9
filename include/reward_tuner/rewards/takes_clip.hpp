// Rewards that can be given a CLIP after construction: the tuner binds the pipeline's own to them.
#pragma once
#include <concepts>
#include <memory>

namespace reward_tuner {

class ClipModel;

/// A reward with `bool needs_clip() const` and `bind_clip(shared_ptr<const ClipModel>)`.
template <class Reward>
concept TakesClip = requires(Reward reward, const Reward constant, std::shared_ptr<const ClipModel> clip) {
  { constant.needs_clip() } -> std::same_as<bool>;
  reward.bind_clip(clip);
};

/// True while `reward` wants a CLIP and has none; false for rewards that never want one.
template <class Reward>
bool reward_needs_clip(const Reward& reward) {
  if constexpr (TakesClip<Reward>) {
    return reward.needs_clip();
  } else {
    return false;
  }
}

/// Gives `clip` to a reward that wants one; leaves every other reward, and one that was given its own, as it is.
template <class Reward>
void reward_bind_clip([[maybe_unused]] Reward& reward, [[maybe_unused]] const std::shared_ptr<const ClipModel>& clip) {
  if constexpr (TakesClip<Reward>) {
    if (reward.needs_clip()) reward.bind_clip(clip);
  }
}

}  // namespace reward_tuner
