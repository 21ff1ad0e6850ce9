// Several rewards added with weights: `weighted_sum(weighted(1.0, a), weighted(0.5, b))`.
#pragma once
#include <torch/types.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// One term of a WeightedSum.
template <class Reward>
struct Weighted {
  double weight = 1;  ///< finite, any sign
  Reward reward;      ///< the reward itself
};

/// Example: `weighted(0.5, ClipScoreReward(clip))`.
template <class Reward>
Weighted<Reward> weighted(double weight, Reward reward) {
  return {weight, std::move(reward)};
}

/// values = sum_i weight_i * reward_i.
/// Differentiable only if every part is; else the parts run without grad. Components: each part's own (unweighted)
/// value under its kName, or the component that the part itself reports under that name (a loss keeps its sign there);
/// and every other component of every part. A name that is taken already gets the part's kName as prefix
/// ("symmetry.clip_score"); a second part of the same kName is called kName_2, and so on.
/// Errors: a weight that is not finite; a part that does not answer [B].
template <class... Rewards>
class WeightedSum {
  static_assert(sizeof...(Rewards) > 0, "[WeightedSum] needs at least one reward");
  static_assert((std::is_same_v<typename Rewards::Role, RewardRole> && ...), "[WeightedSum] takes rewards only");

 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = (Rewards::kDifferentiable && ...);
  static constexpr bool kPerGroup = (Rewards::kPerGroup || ...);
  static constexpr std::string_view kName = "weighted_sum";

  explicit WeightedSum(Weighted<Rewards>... parts) : parts_(std::move(parts)...) {
    std::apply(
        [](const auto&... part) {
          (..., [](double weight) {
            REWARD_TUNER_CHECK(std::isfinite(weight), "[WeightedSum] weights must be finite, got ", weight);
          }(part.weight));
        },
        parts_);
  }

  /// True while any part wants a CLIP and has none.
  bool needs_clip() const {
    return std::apply([](const auto&... part) { return (... || reward_needs_clip(part.reward)); }, parts_);
  }

  /// Gives a CLIP to every part that wants one and has none.
  void bind_clip(const std::shared_ptr<const ClipModel>& clip) {
    std::apply([&](auto&... part) { (..., reward_bind_clip(part.reward, clip)); }, parts_);
  }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    const at::AutoGradMode grad(kDifferentiable && at::GradMode::is_enabled());
    RewardResult total;
    std::map<std::string, int> seen;
    // Own values first, so that a part's kName is never taken by another part's component.
    std::map<std::string, RewardResult> results;
    std::vector<std::string> order;
    const auto add = [&](const auto& part) {
      const std::string_view kind = part.reward.kName;
      std::string name(kind);
      const int number = ++seen[name];
      if (number > 1) name += "_" + std::to_string(number);
      RewardResult result = part.reward.score(input);
      check_reward_result(result, input.images.size(0), kind);
      const Tensor term = part.weight * result.values;                     // [B]
      total.values = total.values.defined() ? total.values + term : term;  // [B]
      const auto own = result.components.find(std::string(kind));
      total.components.emplace(name, own == result.components.end() ? result.values.detach() : own->second);
      if (own != result.components.end()) result.components.erase(own);
      order.push_back(name);
      results.emplace(name, std::move(result));
    };
    std::apply([&](const auto&... part) { (..., add(part)); }, parts_);
    for (const std::string& name : order)
      for (const auto& [key, component] : results.at(name).components)
        if (!total.components.emplace(key, component).second) total.components.emplace(name + "." + key, component);
    return total;
  }

 private:
  std::tuple<Weighted<Rewards>...> parts_;
};
static_assert(RewardPolicy<WeightedSum<detail::NoReward, detail::NoReward>>);

/// Example: `weighted_sum(weighted(1.0, SymmetryReward()), weighted(0.5, ClipScoreReward(clip)))`.
template <class... Rewards>
WeightedSum<Rewards...> weighted_sum(Weighted<Rewards>... parts) {
  return WeightedSum<Rewards...>(std::move(parts)...);
}

}  // namespace reward_tuner
