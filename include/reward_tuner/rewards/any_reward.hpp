// A reward chosen at run time: a value that holds any reward behind one interface.
#pragma once
#include <torch/types.h>

#include <concepts>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// Any reward by value, for programs that pick the reward by name. Copies share the held reward; bind_clip replaces it,
/// copies keep theirs. kDifferentiable is true so that it fits every method at compile time; whether the held reward
/// has a gradient is `differentiable()`, and asking one without for a gradient (scoring images that require grad) is
/// an error at run time. Likewise whether it scores groups is `per_group()`, which the library asks in place of
/// kPerGroup.
class AnyReward {
 public:
  using Role = RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "any_reward";

  /// Holds `reward`; `name` is what reports and errors call it, for programs with several of a kind.
  template <class Reward>
  requires(!std::same_as<Reward, AnyReward> && std::same_as<typename Reward::Role, RewardRole>)
  explicit AnyReward(Reward reward, std::string name = std::string(Reward::kName))
      : held_(std::make_shared<const Holder<Reward>>(std::move(reward), std::move(name))) {}

  /// The name that was given, or kName of the held reward.
  std::string_view name() const { return held_->name(); }
  /// Whether the held reward has a gradient with respect to the images.
  bool differentiable() const { return held_->differentiable(); }
  /// Whether the held reward scores groups of images.
  bool per_group() const { return held_->per_group(); }
  /// True while the held reward needs a CLIP and has none.
  bool needs_clip() const { return held_->needs_clip(); }
  /// Passes a CLIP to the held reward if it needs one.
  void bind_clip(const std::shared_ptr<const ClipModel>& clip) { held_ = held_->with_clip(clip); }

  /// Whether the held reward is asked for an answer that is fetched later.
  bool scores_later() const { return held_->scores_later(); }
  /// That answer. Of a reward without: its result, which is there when this returns. Errors: as of score().
  std::future<RewardResult> score_later(const RewardInput& input) const {
    check_images(input);
    return held_->score_later(input);
  }

  /// The held reward's result, checked. Errors: images that require grad with a reward that has none; a reward that
  /// writes to its input.
  RewardResult score(const RewardInput& input) const {
    check_images(input);
    return checked_score(*held_, input, name());
  }

 private:
  void check_images(const RewardInput& input) const {
    REWARD_TUNER_CHECK(input.images.defined() && input.images.dim() >= 1,
                       "[AnyReward] expected images [B,3,H,W], got none");
    REWARD_TUNER_CHECK(differentiable() || !at::GradMode::is_enabled() || !input.images.requires_grad(),
                       "[AnyReward] expected a reward with a gradient, got ", name(),
                       ", which has none: use it with a policy gradient method");
  }

  struct Concept {
    virtual ~Concept() = default;
    virtual std::string_view name() const = 0;
    virtual bool differentiable() const = 0;
    virtual bool per_group() const = 0;
    virtual bool needs_clip() const = 0;
    virtual std::shared_ptr<const Concept> with_clip(const std::shared_ptr<const ClipModel>& clip) const = 0;
    virtual RewardResult score(const RewardInput& input) const = 0;
    virtual bool scores_later() const = 0;
    virtual std::future<RewardResult> score_later(const RewardInput& input) const = 0;
  };

  template <class Reward>
  struct Holder final : Concept {
    Holder(Reward r, std::string n) : reward(std::move(r)), own_name(std::move(n)) {}
    std::string_view name() const override { return own_name; }
    bool differentiable() const override { return has_gradient(reward); }
    bool per_group() const override { return reward_tuner::per_group(reward); }
    bool needs_clip() const override { return reward_needs_clip(reward); }
    std::shared_ptr<const Concept> with_clip(const std::shared_ptr<const ClipModel>& clip) const override {
      Reward copy = reward;
      reward_bind_clip(copy, clip);
      return std::make_shared<const Holder>(std::move(copy), own_name);
    }
    RewardResult score(const RewardInput& input) const override { return reward.score(input); }
    bool scores_later() const override { return reward_tuner::scores_later(reward); }
    std::future<RewardResult> score_later(const RewardInput& input) const override {
      return asked_later(reward, input, own_name);
    }
    Reward reward;
    std::string own_name;
  };

  std::shared_ptr<const Concept> held_;
};
static_assert(RewardPolicy<AnyReward>);

inline std::string_view reward_name(const AnyReward& reward) { return reward.name(); }

/// Any reward behind one type.
template <class Reward>
AnyReward as_any_reward(const Reward& reward) {
  if constexpr (std::same_as<Reward, AnyReward>) return reward;
  else return AnyReward(reward);
}

/// A reward in an evaluation. Its mean is reported under `name`, its components under their own names, with `name` in
/// front where those are taken (run/metric_names.hpp).
struct EvaluationReward {
  std::string name;  ///< not that of another reward of the evaluation; may be empty with components_only
  AnyReward reward;
  bool components_only = false;  ///< report the components, not the reward itself
};

}  // namespace reward_tuner
