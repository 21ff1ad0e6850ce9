// Advantages and branching that are chosen at run time, so that one tuner type serves many cells.
#pragma once
#include <string_view>
#include <variant>
#include <vector>

#include <reward_tuner/advantages/history.hpp>
#include <reward_tuner/advantages/per_batch.hpp>
#include <reward_tuner/advantages/per_group.hpp>
#include <reward_tuner/advantages/per_prompt.hpp>
#include <reward_tuner/branching/best_and_worst.hpp>
#include <reward_tuner/branching/no_branching.hpp>

namespace rt_reproduce {

/// Any of the library's advantages.
class ChosenAdvantage {
 public:
  using Role = reward_tuner::AdvantageRole;
  using Options = std::variant<reward_tuner::PerBatchOptions, reward_tuner::PerPromptOptions,
                               reward_tuner::PerGroupOptions, reward_tuner::HistoryOptions>;
  static constexpr std::string_view kName = "chosen_advantage";

  explicit ChosenAdvantage(const Options& options = {})
      : held_(std::visit([](const auto& o) { return make(o); }, options)) {}
  std::vector<double> advantages(const reward_tuner::AdvantageInput& input,
                                 reward_tuner::RewardHistory& history) const {
    return std::visit([&](const auto& held) { return held.advantages(input, history); }, held_);
  }

 private:
  using Held =
      std::variant<reward_tuner::PerBatch, reward_tuner::PerPrompt, reward_tuner::PerGroup, reward_tuner::History>;
  static Held make(const reward_tuner::PerBatchOptions& o) { return reward_tuner::PerBatch(o); }
  static Held make(const reward_tuner::PerPromptOptions& o) { return reward_tuner::PerPrompt(o); }
  static Held make(const reward_tuner::PerGroupOptions& o) { return reward_tuner::PerGroup(o); }
  static Held make(const reward_tuner::HistoryOptions& o) { return reward_tuner::History(o); }
  Held held_;
};
static_assert(reward_tuner::AdvantagePolicy<ChosenAdvantage>);

/// BestAndWorst, or NoBranching.
class ChosenBranching {
 public:
  using Role = reward_tuner::BranchingRole;
  using Options = std::variant<reward_tuner::NoBranchingOptions, reward_tuner::BestAndWorstOptions>;
  static constexpr std::string_view kName = "chosen_branching";

  explicit ChosenBranching(const Options& options = {}) {
    if (const auto* o = std::get_if<reward_tuner::BestAndWorstOptions>(&options))
      held_.emplace<reward_tuner::BestAndWorst>(*o);
  }
  int branches() const {
    return std::visit([](const auto& held) { return held.branches(); }, held_);
  }
  std::vector<reward_tuner::BranchChoice> choose(const std::vector<double>& advantages) const {
    return std::visit([&](const auto& held) { return held.choose(advantages); }, held_);
  }

 private:
  std::variant<reward_tuner::NoBranching, reward_tuner::BestAndWorst> held_;
};
static_assert(reward_tuner::BranchingPolicy<ChosenBranching>);

}  // namespace rt_reproduce
