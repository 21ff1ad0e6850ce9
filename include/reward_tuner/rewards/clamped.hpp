// A reward kept within bounds: `clamped(reward, low, high)`.
#pragma once
#include <ATen/ops/clamp.h>
#include <torch/types.h>

#include <future>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/changed_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// values = min(max(reward, low), high). Stops tuning on images that are good enough (high) or hopeless (low).
/// Gradient: the reward's own within [low, high], 0 outside; none if the reward has none.
/// Components: the reward's own value before clamping under its kName (unless it reports that name itself), and every
/// component of it.
/// Errors: low above high, a bound that is NaN; values that are not floating point [B].
template <class Reward>
class Clamped {
  static_assert(std::is_same_v<typename Reward::Role, RewardRole>, "[Clamped] takes a reward only");

 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = Reward::kDifferentiable;
  static constexpr bool kPerGroup = Reward::kPerGroup;
  static constexpr std::string_view kName = "clamped";

  Clamped(Reward reward, double low, double high) : reward_(std::move(reward)), low_(low), high_(high) {
    REWARD_TUNER_CHECK(low <= high, "[Clamped] expected low <= high, got ", low, " and ", high);
  }

  /// True while the reward needs a CLIP and has none.
  bool needs_clip() const { return reward_needs_clip(reward_); }

  /// Passes a CLIP to the reward if it needs one and has none.
  void bind_clip(const std::shared_ptr<const ClipModel>& clip) { reward_bind_clip(reward_, clip); }

  /// As of the reward.
  bool per_group() const { return reward_tuner::per_group(reward_); }
  bool differentiable() const { return has_gradient(reward_); }

  const Reward& reward() const { return reward_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const { return detail::changed_score(reward_, input, change()); }

  /// Whether the reward is asked for an answer that is fetched later.
  bool scores_later() const { return reward_tuner::scores_later(reward_); }
  /// score() of that answer.
  std::future<RewardResult> score_later(const RewardInput& input) const {
    return detail::changed_later(reward_, input, change());
  }

 private:
  auto change() const {
    return [low = low_, high = high_](RewardResult& result) {
      result.values = at::clamp(result.values, low, high);  // [B]
      result.parts.clear();
    };
  }

  Reward reward_;
  double low_, high_;
};
static_assert(RewardPolicy<Clamped<detail::NoReward>>);

/// Example: `clamped(ClipScoreReward(clip), 0.0, 0.3)`.
template <class Reward>
Clamped<Reward> clamped(Reward reward, double low, double high) {
  return Clamped<Reward>(std::move(reward), low, high);
}

}  // namespace reward_tuner
