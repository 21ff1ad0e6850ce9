// Rewards that accept a CLIP after construction: the tuner binds the pipeline's CLIP to them.
#pragma once
#include <memory>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/explain.hpp>

namespace reward_tuner {

/// The CLIP of a reward, given at construction or bound later.
class BoundClip {
 public:
  explicit BoundClip(std::shared_ptr<const ClipModel> clip) : clip_(std::move(clip)) {}

  bool missing() const { return clip_ == nullptr; }
  void bind(std::shared_ptr<const ClipModel> clip) { clip_ = std::move(clip); }

  /// The CLIP. Errors: none is bound; `reward` heads the message.
  const std::shared_ptr<const ClipModel>& get(std::string_view reward) const {
    REWARD_TUNER_CHECK(!missing(), "[", reward,
                       "] expected a CLIP, got none: pass one to the constructor, call bind_clip, or use a pipeline "
                       "folder that has one");
    return clip_;
  }

 private:
  std::shared_ptr<const ClipModel> clip_;
};

/// True while `reward` needs a CLIP and has none; false for rewards that never need one.
template <class Reward>
bool reward_needs_clip([[maybe_unused]] const Reward& reward) {
  static_assert(detail::ExplainReward<Reward>::value);
  if constexpr (RewardTraits<Reward>::kTakesClip) return reward.needs_clip();
  else return false;
}

/// Binds `clip` to a reward that needs one; other rewards, and one that has its own, are unchanged.
template <class Reward>
void reward_bind_clip([[maybe_unused]] Reward& reward, [[maybe_unused]] const std::shared_ptr<const ClipModel>& clip) {
  if constexpr (RewardTraits<Reward>::kTakesClip) {
    if (reward.needs_clip()) reward.bind_clip(clip);
  }
}

}  // namespace reward_tuner
