// Rewards by name: what --reward understands.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/rewards/any_reward.hpp>

#include "settings.hpp"

namespace rt_tune {

/// A weighted sum of rewards chosen at run time; components as in WeightedSum. `PerGroup`: a part scores groups of
/// images.
template <bool PerGroup>
class RewardSum {
 public:
  using Role = reward_tuner::RewardRole;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = PerGroup;
  static constexpr std::string_view kName = "weighted_sum";

  explicit RewardSum(std::vector<std::pair<double, reward_tuner::AnyReward>> parts) : parts_(std::move(parts)) {}
  bool needs_clip() const;
  void bind_clip(const std::shared_ptr<const reward_tuner::ClipModel>& clip);
  reward_tuner::RewardResult score(const reward_tuner::RewardInput& input) const;

 private:
  std::vector<std::pair<double, reward_tuner::AnyReward>> parts_;
};

/// One line of `rt-tune tune --help`.
struct RewardEntry {
  std::string_view name, summary;
};
const std::vector<RewardEntry>& reward_entries();

/// The reward that settings.rewards ("name" or "name:weight", several are added) describe.
struct ChosenReward {
  reward_tuner::AnyReward reward;
  std::string text;        ///< "symmetry" or "symmetry:1 + clip_score:0.5"
  std::string black_box;   ///< name of a part without gradient, or empty
  bool per_group = false;  ///< a part scores groups of images
};
/// `where` names the list in errors.
ChosenReward make_reward(const TuneSettings& settings, const std::string& where = "--reward");

}  // namespace rt_tune
