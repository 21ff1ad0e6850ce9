// DDPO's advantage: rewards standardized over the latest rewards of their prompt.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/advantages/moments.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// What PerPrompt remembers of a prompt, and how it scales.
struct PerPromptOptions {
  int window = 32;     ///< rewards remembered of each prompt, >= 1 (DDPO's code: 16, for aesthetic scores 32)
  int min_count = 16;  ///< rewards of a prompt from which on its own moments are used, 1..window (DDPO's code: 16)
  /// share of the size of the round's rewards (their root mean square) that is added to the deviation, > 0 (DDPO's
  /// code: 1e-6, in reward units)
  double epsilon = 1e-6;
  double clamp = 5;  ///< advantages are held within +-clamp, >= 0; 0: no clamp (DDPO's code: 5)
};
REWARD_TUNER_FIELDS(PerPromptOptions, window, min_count, epsilon, clamp);

/// A_i = (r_i - mean)/(deviation + epsilon * size) with mean and population deviation of the latest `window` rewards of
/// the prompt, this round's among them; while they are fewer than min_count, of all rewards of the round (code of Black
/// et al. 2024, DDPO, stat_tracking.py). The reward's unit does not matter. A round with more than `window` images
/// of a prompt counts all of them, where DDPO's code takes the last ones: the order of the images does not matter.
/// Memory: the latest `window` rewards of every prompt ever seen.
/// Errors: numbers of rewards, prompts and groups that differ, rewards that are not finite; the memory is untouched
/// then.
class PerPrompt {
 public:
  using Role = AdvantageRole;
  using Options = PerPromptOptions;
  static constexpr std::string_view kName = "per_prompt";

  explicit PerPrompt(PerPromptOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.window >= 1, "[PerPrompt] window must be >= 1, got ", options_.window);
    REWARD_TUNER_CHECK(options_.min_count >= 1 && options_.min_count <= options_.window,
                       "[PerPrompt] min_count must be in 1..window, ", options_.window, ", got ", options_.min_count);
    detail::check_scaling("PerPrompt", options_.epsilon, options_.clamp);
  }
  const PerPromptOptions& options() const { return options_; }

  std::vector<double> advantages(const AdvantageInput& input, RewardHistory& history) const {
    detail::check_rewards("PerPrompt", input);
    const detail::Moments batch = detail::moments(input.rewards);
    const long double size = detail::size_of(input.rewards);
    std::map<std::string, detail::Moments> of_prompt;
    for (const auto& [prompt, rewards] : detail::rewards_by(input.prompts, input.rewards)) {
      std::vector<std::vector<double>>& rounds = history.rounds[prompt];
      rounds.push_back(rewards);
      const std::size_t window = static_cast<std::size_t>(options_.window);
      forget(rounds, std::max(window, rewards.size()));
      const std::vector<double> latest = joined(rounds);
      of_prompt[prompt] =
          latest.size() < static_cast<std::size_t>(options_.min_count) ? batch : detail::moments(latest);
      forget(rounds, window);
    }
    return detail::standardize(
        input.rewards, [&](std::size_t i) -> const detail::Moments& { return of_prompt.at(input.prompts[i]); },
        [&](const detail::Moments& m) { return m.deviation() + options_.epsilon * size; }, options_.clamp);
  }

 private:
  static std::vector<double> joined(const std::vector<std::vector<double>>& rounds) {
    std::vector<double> all;
    for (const std::vector<double>& round : rounds) all.insert(all.end(), round.begin(), round.end());
    return all;
  }

  /// Drops the oldest rewards until `kept` are left.
  static void forget(std::vector<std::vector<double>>& rounds, std::size_t kept) {
    for (auto round = rounds.rbegin(); round != rounds.rend(); ++round) {
      const std::size_t stays = std::min(kept, round->size());
      round->erase(round->begin(), round->end() - static_cast<std::ptrdiff_t>(stays));
      kept -= stays;
    }
    std::erase_if(rounds, [](const std::vector<double>& round) { return round.empty(); });
  }

  PerPromptOptions options_;
};
static_assert(AdvantagePolicy<PerPrompt>);

}  // namespace reward_tuner
