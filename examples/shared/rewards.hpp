// Rewards by name: what --reward understands.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/rewards/any_reward.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

/// One line of `rt-tune tune --help`.
struct RewardEntry {
  std::string_view name, summary;
};
const std::vector<RewardEntry>& reward_entries();

/// The reward that settings.rewards ("name" or "name:weight", several are added) describe.
struct ChosenReward {
  rt::AnyReward reward;
  std::string text;        ///< "symmetry" or "symmetry:1 + clip_score:0.5"
  std::string black_box;   ///< name of a part without gradient, or empty
  bool per_group = false;  ///< a part scores groups of images
};
/// `shown` names the list in errors.
ChosenReward make_reward(const TuneSettings& settings, const std::string& shown = "--reward");

}  // namespace rt_shared
