// B2-DiffuRL's advantage: rewards standardized over their prompt's images of this round and of a few rounds before.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/advantages/moments.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How far History looks back, and how it scales.
struct HistoryOptions {
  int rounds = 8;  ///< earlier rounds whose rewards count too, >= 0 (B2-DiffuRL's code: 8)
  /// share of the size of the round's rewards (their root mean square) that is added to the deviation, > 0
  /// (B2-DiffuRL's code: 1e-8, in reward units)
  double epsilon = 1e-8;
  double clamp = 5;  ///< advantages are held within +-clamp, >= 0; 0: no clamp (B2-DiffuRL's code: 5)
};
REWARD_TUNER_FIELDS(HistoryOptions, rounds, epsilon, clamp);

/// A_i = (r_i - mean)/(deviation + epsilon * size) with mean and unbiased deviation of the prompt's rewards of this
/// round and of the `rounds` before (B2-paper, appendix D.1). The reward's unit does not matter. A prompt with one
/// reward altogether gets 0, where the public code gets NaN.
/// Memory: the rewards of the latest `rounds` rounds. A round counts whether the prompt was drawn in it or not, as in
/// the public code (an empty round stands for it), so prompts not drawn for `rounds` rounds are forgotten.
/// Errors: numbers of rewards, prompts and groups that differ, rewards that are not finite; the memory is untouched
/// then.
class History {
 public:
  using Role = AdvantageRole;
  using Options = HistoryOptions;
  static constexpr std::string_view kName = "history";

  explicit History(HistoryOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.rounds >= 0, "[History] rounds must be >= 0, got ", options_.rounds);
    detail::check_scaling("History", options_.epsilon, options_.clamp);
  }
  const HistoryOptions& options() const { return options_; }

  std::vector<double> advantages(const AdvantageInput& input, RewardHistory& history) const {
    detail::check_rewards("History", input);
    if (input.rewards.empty()) return {};
    const long double size = detail::size_of(input.rewards);
    const std::map<std::string, std::vector<double>> of_round = detail::rewards_by(input.prompts, input.rewards);
    std::map<std::string, detail::Moments> of_prompt;
    for (const auto& [prompt, rewards] : of_round) {
      std::vector<double> all = rewards;
      for (const std::vector<double>& round : history.rounds[prompt]) all.insert(all.end(), round.begin(), round.end());
      of_prompt[prompt] = detail::moments(all, true);
    }
    remember(of_round, history);
    return detail::standardize(
        input.rewards, [&](std::size_t i) -> const detail::Moments& { return of_prompt.at(input.prompts[i]); },
        [&](const detail::Moments& m) { return m.deviation() + options_.epsilon * size; }, options_.clamp);
  }

 private:
  void remember(const std::map<std::string, std::vector<double>>& of_round, RewardHistory& history) const {
    const std::size_t kept = static_cast<std::size_t>(options_.rounds);
    for (auto& [prompt, rounds] : history.rounds) {
      const auto found = of_round.find(prompt);
      rounds.push_back(found == of_round.end() ? std::vector<double>{} : found->second);
      if (rounds.size() > kept) rounds.erase(rounds.begin(), rounds.end() - static_cast<std::ptrdiff_t>(kept));
      while (!rounds.empty() && rounds.front().empty()) rounds.erase(rounds.begin());
    }
    std::erase_if(history.rounds, [](const auto& entry) { return entry.second.empty(); });
  }

  HistoryOptions options_;
};
static_assert(AdvantagePolicy<History>);

}  // namespace reward_tuner
