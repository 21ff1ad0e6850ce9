// Several rewards added with weights: `weighted_sum(weighted(1.0, a), weighted(0.5, b))`, or a list of them that is
// known at run time only.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <future>
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
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// One term of a WeightedSum.
template <class Reward>
struct Weighted {
  double weight = 1;  ///< finite, any sign, not 0
  Reward reward;      ///< the reward itself
};

/// Example: `weighted(0.5, ClipScoreReward(clip))`.
template <class Reward>
Weighted<Reward> weighted(double weight, Reward reward) {
  return {weight, std::move(reward)};
}

namespace detail {

inline void check_weight(double weight, std::string_view reward) {
  REWARD_TUNER_CHECK(std::isfinite(weight), "[WeightedSum] weights must be finite, got ", weight, " for ", reward);
  REWARD_TUNER_CHECK(weight != 0, "[WeightedSum] a reward of weight 0 trains nothing: expected another weight for ",
                     reward, ", got 0; leave it out, or measure it among the evaluation rewards");
}

/// A sum under construction, and the names of its components.
class WeightedTotal {
 public:
  /// Adds weight * result; `kind` is the part's kName.
  void add(double weight, std::string_view kind, RewardResult result) {
    std::string name(kind);
    const int number = ++seen_[name];
    if (number > 1) name += "_" + std::to_string(number);
    const Tensor term = weight * result.values;                             // [B]
    total_.values = total_.values.defined() ? total_.values + term : term;  // [B]
    total_.parts.push_back({weight, result.values.detach()});
    if (result.failed.defined())
      total_.failed = total_.failed.defined() ? total_.failed.logical_or(result.failed) : result.failed;  // bool [B]
    const auto own = result.components.find(std::string(kind));
    total_.components.emplace(name, own == result.components.end() ? result.values.detach() : own->second);
    if (own != result.components.end()) result.components.erase(own);
    others_.emplace_back(name, std::move(result.components));
  }

  /// The sum. Further components come last, so that a part's kName is never taken by another part's component.
  RewardResult finish() && {
    for (const auto& [name, components] : others_)
      for (const auto& [key, component] : components)
        if (!total_.components.emplace(key, component).second) total_.components.emplace(name + "." + key, component);
    return std::move(total_);
  }

 private:
  RewardResult total_;
  std::map<std::string, int> seen_;
  std::vector<std::pair<std::string, std::map<std::string, Tensor>>> others_;
};

/// What a sum needs to know of a part.
struct WeightedPart {
  double weight = 1;
  std::string kind = {};
  std::future<RewardResult> result = {};
};

/// The sum of parts whose results come later, fetched in their order; with a graph or without, whatever the gradient
/// mode of the caller who fetches it.
inline std::future<RewardResult> sum_later(std::vector<WeightedPart> parts, std::int64_t batch, bool graph) {
  return std::async(std::launch::deferred, [parts = std::move(parts), batch, graph]() mutable {
    const at::AutoGradMode grad(graph);
    WeightedTotal total;
    for (WeightedPart& part : parts) {
      RewardResult result = part.result.get();
      check_reward_result(result, batch, part.kind);
      total.add(part.weight, part.kind, std::move(result));
    }
    return std::move(total).finish();
  });
}

}  // namespace detail

/// values = sum_i weight_i * reward_i; the result's parts are {weight_i, reward_i}, from which the advantage PerReward
/// (advantages/per_reward.hpp) standardizes each reward inside its group before the sum. An image that one part could
/// not score has no sum.
/// Differentiable only if every part is; else the parts run without grad. Components: each part's own (unweighted)
/// value under its kName, or the component that the part itself reports under that name (a loss keeps its sign there);
/// and every other component of every part. A name that is taken already gets the part's kName as prefix
/// ("symmetry.clip_score"); a second part of the same kName is called kName_2, and so on.
/// Errors: a weight that is 0 or not finite; a part whose values are not [B], or that writes to its input, which the
/// other parts read too.
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
    std::apply([](const auto&... part) { (..., detail::check_weight(part.weight, reward_name(part.reward))); }, parts_);
  }

  /// True while any part needs a CLIP and has none.
  bool needs_clip() const {
    return std::apply([](const auto&... part) { return (... || reward_needs_clip(part.reward)); }, parts_);
  }

  /// Passes a CLIP to every part that needs one and has none.
  void bind_clip(const std::shared_ptr<const ClipModel>& clip) {
    std::apply([&](auto&... part) { (..., reward_bind_clip(part.reward, clip)); }, parts_);
  }

  /// Whether any part scores groups of images.
  bool per_group() const {
    return std::apply([](const auto&... part) { return (... || reward_tuner::per_group(part.reward)); }, parts_);
  }
  /// Whether every part has a gradient.
  bool differentiable() const {
    return std::apply([](const auto&... part) { return (... && has_gradient(part.reward)); }, parts_);
  }

  /// Whether any part is asked for an answer that is fetched later.
  bool scores_later() const {
    return std::apply([](const auto&... part) { return (... || reward_tuner::scores_later(part.reward)); }, parts_);
  }
  /// The sum of the parts' answers. Those that come later are asked first, so that the others are scored meanwhile.
  std::future<RewardResult> score_later(const RewardInput& input) const {
    const bool graph = kDifferentiable && at::GradMode::is_enabled();
    const at::AutoGradMode grad(graph);
    std::vector<detail::WeightedPart> parts(sizeof...(Rewards));
    for (const bool later : {true, false}) {
      std::size_t i = 0;
      const auto ask = [&](const auto& part) {
        detail::WeightedPart& own = parts[i++];
        if (reward_tuner::scores_later(part.reward) != later) return;
        const std::string_view name = reward_name(part.reward);
        own = {part.weight, std::string(name), asked_later(part.reward, input, name)};
      };
      std::apply([&](const auto&... part) { (..., ask(part)); }, parts_);
    }
    return detail::sum_later(std::move(parts), input.images.size(0), graph);
  }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    const at::AutoGradMode grad(kDifferentiable && at::GradMode::is_enabled());
    detail::WeightedTotal total;
    const auto add = [&](const auto& part) {
      const std::string_view name = reward_name(part.reward);
      total.add(part.weight, name, checked_score(part.reward, input, name));
    };
    std::apply([&](const auto&... part) { (..., add(part)); }, parts_);
    return std::move(total).finish();
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

namespace detail {

/// WeightedSum of a list that is known at run time only, as are its traits.
class WeightedList {
 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "weighted_sum";

  explicit WeightedList(std::vector<Weighted<AnyReward>> parts) : parts_(std::move(parts)) {}

  bool per_group() const {
    return std::any_of(parts_.begin(), parts_.end(), [](const auto& part) { return part.reward.per_group(); });
  }
  bool differentiable() const {
    return std::all_of(parts_.begin(), parts_.end(), [](const auto& part) { return part.reward.differentiable(); });
  }

  bool needs_clip() const {
    return std::any_of(parts_.begin(), parts_.end(), [](const auto& part) { return part.reward.needs_clip(); });
  }
  void bind_clip(const std::shared_ptr<const ClipModel>& clip) {
    for (auto& part : parts_) reward_bind_clip(part.reward, clip);
  }
  bool scores_later() const {
    return std::any_of(parts_.begin(), parts_.end(), [](const auto& part) { return part.reward.scores_later(); });
  }
  std::future<RewardResult> score_later(const RewardInput& input) const {
    const bool graph = differentiable() && at::GradMode::is_enabled();
    const at::AutoGradMode grad(graph);
    std::vector<WeightedPart> parts(parts_.size());
    for (const bool later : {true, false})
      for (std::size_t i = 0; i < parts_.size(); ++i)
        if (const auto& [weight, reward] = parts_[i]; reward.scores_later() == later)
          parts[i] = {weight, std::string(reward.name()), reward.score_later(input)};
    return sum_later(std::move(parts), input.images.size(0), graph);
  }
  RewardResult score(const RewardInput& input) const {
    const at::AutoGradMode grad(differentiable() && at::GradMode::is_enabled());
    WeightedTotal total;
    for (const auto& part : parts_) total.add(part.weight, part.reward.name(), part.reward.score(input));
    return std::move(total).finish();
  }

 private:
  std::vector<Weighted<AnyReward>> parts_;
};

}  // namespace detail

/// The same of rewards chosen at run time: values, components, gradient and errors as of WeightedSum. It scores groups
/// of images if a part does. Errors: no part.
/// Example: `weighted_sum({weighted(1.0, AnyReward(SymmetryReward())), weighted(0.5, AnyReward(ClipScoreReward()))})`.
inline AnyReward weighted_sum(std::vector<Weighted<AnyReward>> parts) {
  REWARD_TUNER_CHECK(!parts.empty(), "[WeightedSum] expected at least one reward, got none");
  for (const auto& part : parts) detail::check_weight(part.weight, part.reward.name());
  return AnyReward(detail::WeightedList(std::move(parts)));
}

}  // namespace reward_tuner
