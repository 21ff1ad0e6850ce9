// Large-scale RL's advantage: rewards standardized over the whole round.
#pragma once
#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

#include <reward_tuner/advantages/moments.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How PerBatch scales.
struct PerBatchOptions {
  /// share of the rewards' mean square that is added to the variance, > 0 (large-scale RL paper, Eq. 10, in squared
  /// reward units; no value given: ours)
  double epsilon = 1e-8;
  double clamp = 5;  ///< advantages are held within +-clamp, >= 0; 0: no clamp (DDPO's code: 5)
};
REWARD_TUNER_FIELDS(PerBatchOptions, epsilon, clamp);

/// A_i = (r_i - mean)/sqrt(var + epsilon * mean(r^2)) with mean and population variance of the round's rewards
/// (large-scale RL paper, Eq. 10). The reward's unit does not matter. Needs no memory, so prompts may be unbounded; a
/// prompt that is easier than the others gets positive advantages whatever is drawn.
/// Errors: numbers of rewards, prompts and groups that differ, rewards that are not finite.
class PerBatch {
 public:
  using Role = AdvantageRole;
  using Options = PerBatchOptions;
  static constexpr std::string_view kName = "per_batch";

  explicit PerBatch(PerBatchOptions options = {}) : options_(options) {
    detail::check_scaling("PerBatch", options_.epsilon, options_.clamp);
  }
  const PerBatchOptions& options() const { return options_; }

  std::vector<double> advantages(const AdvantageInput& input, RewardHistory&) const {
    detail::check_rewards("PerBatch", input);
    const detail::Moments batch = detail::moments(input.rewards);
    const long double size = detail::size_of(input.rewards);
    return detail::standardize(
        input.rewards, [&](std::size_t) -> const detail::Moments& { return batch; },
        [&](const detail::Moments& m) { return std::sqrt(m.variance + options_.epsilon * size * size); },
        options_.clamp);
  }

 private:
  PerBatchOptions options_;
};
static_assert(AdvantagePolicy<PerBatch>);

}  // namespace reward_tuner
