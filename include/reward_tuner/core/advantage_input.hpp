// What an advantage is computed from: the rewards of one round, and those that came before.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace reward_tuner {

/// One part of a weighted sum over a round.
struct RewardTerm {
  double weight = 1;                ///< its factor in the sum
  std::vector<double> values = {};  ///< [N] the part's own
};

/// The rewards of one round, one per image.
struct AdvantageInput {
  std::vector<double> rewards;       ///< [N]
  std::vector<std::string> prompts;  ///< [N]
  /// [N] equal for images of one prompt of this round (prompt_groups), branches of a root among them
  std::vector<std::int64_t> groups;
  std::vector<RewardTerm> terms = {};  ///< what the rewards are the weighted sum of; empty: of nothing but themselves
};

/// Rewards of earlier rounds by prompt, oldest first: the memory of windowed advantages. Kept by the tuner and saved in
/// checkpoints; grows with the number of different prompts.
struct RewardHistory {
  std::map<std::string, std::vector<std::vector<double>>> rounds;  ///< prompt -> rounds -> rewards
  bool operator==(const RewardHistory&) const = default;
};

}  // namespace reward_tuner
