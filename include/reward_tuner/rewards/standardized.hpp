// A reward in units of its own spread: `standardized(reward, mean, deviation)`, with constants measured once.
#pragma once
#include <torch/types.h>

#include <cmath>
#include <future>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/changed_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// The constants of a Standardized reward.
struct RewardMoments {
  double mean = 0;       ///< finite
  double deviation = 1;  ///< above 0
};
REWARD_TUNER_FIELDS(RewardMoments, mean, deviation);

/// Mean and standard deviation (unbiased) of a reward's values, of any shape, for Standardized: score the untuned
/// model's images once and keep the answer.
/// Errors: fewer than two values, values that are not finite or all equal.
/// Example: `const RewardMoments moments = reward_moments(reward.score(input).values);`
inline RewardMoments reward_moments(const Tensor& values) {
  REWARD_TUNER_CHECK(values.defined() && values.numel() >= 2,
                     "[Standardized] expected at least two values to measure, got ",
                     values.defined() ? values.numel() : 0);
  const Tensor x = values.detach().to(at::kDouble);
  const RewardMoments moments{x.mean().item<double>(), x.std().item<double>()};
  REWARD_TUNER_CHECK(std::isfinite(moments.mean) && std::isfinite(moments.deviation),
                     "[Standardized] expected finite values, got others among ", x.numel());
  REWARD_TUNER_CHECK(moments.deviation > 0, "[Standardized] expected values that differ, got ", x.numel(), " times ",
                     moments.mean);
  return moments;
}

/// values = (reward - mean) / deviation with fixed constants, so that rewards of different scales can be added with
/// comparable weights. The batch's own statistics never enter: they would change what is optimized from update to
/// update.
/// Gradient: the reward's own over deviation; none if the reward has none.
/// Components: the reward's own value under its kName (unless it reports that name itself), and every component of it.
/// Errors: a mean that is not finite, a deviation that is not finite and above 0; values that are not floating point
/// [B].
template <class Reward>
class Standardized {
  static_assert(std::is_same_v<typename Reward::Role, RewardRole>, "[Standardized] takes a reward only");

 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = Reward::kDifferentiable;
  static constexpr bool kPerGroup = Reward::kPerGroup;
  static constexpr std::string_view kName = "standardized";

  Standardized(Reward reward, RewardMoments moments) : reward_(std::move(reward)), moments_(moments) {
    REWARD_TUNER_CHECK(std::isfinite(moments_.mean), "[Standardized] mean must be finite, got ", moments_.mean);
    REWARD_TUNER_CHECK(std::isfinite(moments_.deviation) && moments_.deviation > 0,
                       "[Standardized] deviation must be finite and above 0, got ", moments_.deviation);
  }

  /// True while the reward needs a CLIP and has none.
  bool needs_clip() const { return reward_needs_clip(reward_); }

  /// Passes a CLIP to the reward if it needs one and has none.
  void bind_clip(const std::shared_ptr<const ClipModel>& clip) { reward_bind_clip(reward_, clip); }

  /// As of the reward.
  bool per_group() const { return reward_tuner::per_group(reward_); }
  bool differentiable() const { return has_gradient(reward_); }

  const Reward& reward() const { return reward_; }
  const RewardMoments& moments() const { return moments_; }

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
    return [moments = moments_](RewardResult& result) {
      result.values = (result.values - moments.mean) / moments.deviation;  // [B]
      result.parts.clear();
    };
  }

  Reward reward_;
  RewardMoments moments_;
};
static_assert(RewardPolicy<Standardized<detail::NoReward>>);

/// Example: `standardized(JpegErrorReward(), -0.003, 0.001)`.
template <class Reward>
Standardized<Reward> standardized(Reward reward, double mean, double deviation) {
  return Standardized<Reward>(std::move(reward), {mean, deviation});
}

/// Example: `standardized(reward, reward_moments(values_of_the_untuned_model))`.
template <class Reward>
Standardized<Reward> standardized(Reward reward, RewardMoments moments) {
  return Standardized<Reward>(std::move(reward), moments);
}

}  // namespace reward_tuner
