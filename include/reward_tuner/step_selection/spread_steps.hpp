// DRTune's selection: K equally spaced steps with a random start, and a random early stop near the clean end.
#pragma once
#include <algorithm>
#include <cmath>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// What the K steps are spread over.
enum class SpreadSubset {
  /// all T steps; those beyond the early stop never run, so fewer than K may be trained (redrawn if none is left)
  kPaper,
  kPrefix,  ///< the executed steps only: min(K, executed) are trained always (as FlowBP's DRTune does)
};

/// How many steps SpreadSteps trains, over what they are spread, and how early it stops.
struct SpreadStepsOptions {
  int num_trained = 5;  ///< K, trained steps, 1..T (DRTune-paper 4.1: 5 of 50)
  /// m, the stop is drawn from the last 1..m steps; 0 never stops early; -1: round(0.4*T) (DRTune-paper 4.2)
  int max_early_stop = -1;
  SpreadSubset subset = SpreadSubset::kPaper;  ///< what the steps are spread over
};
REWARD_TUNER_FIELDS(SpreadStepsOptions, num_trained, max_early_stop, subset);

/// In the paper's clock (t counts down to 1): stride = floor(T/K), s = randint(1, T-(K-1)*stride), S = {s + i*stride},
/// t_min = randint(1, m). DRTune-paper Alg. 1 prints randint(1, T-K*stride), which is empty whenever K divides T; with
/// the range used here each step is trained with probability exactly K/T then.
class SpreadSteps {
 public:
  using Role = StepSelectionRole;
  using Options = SpreadStepsOptions;
  static constexpr std::string_view kName = "spread_steps";

  explicit SpreadSteps(SpreadStepsOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_trained >= 1, "[SpreadSteps] num_trained must be >= 1, got ", options_.num_trained);
    REWARD_TUNER_CHECK(options_.max_early_stop >= -1,
                       "[SpreadSteps] max_early_stop must be >= 0, or -1 for 0.4*T, got ", options_.max_early_stop);
  }
  const SpreadStepsOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.num_trained <= num_steps, "[SpreadSteps] num_trained must be at most the sampler's ",
                       num_steps, " steps, got ", options_.num_trained);
    REWARD_TUNER_CHECK(options_.max_early_stop <= num_steps,
                       "[SpreadSteps] max_early_stop must be at most the sampler's ", num_steps, " steps, got ",
                       options_.max_early_stop);
  }

  StepPlan plan(const PlanContext& context, Rng& rng) const {
    const int T = context.num_steps;
    const int m = options_.max_early_stop >= 0 ? options_.max_early_stop : static_cast<int>(std::lround(0.4 * T));
    // every round leaves something with positive probability: the steps of the noisy end, t >= m, are never cut
    for (;;) {
      const int stop = m > 0 ? static_cast<int>(rng.integer(1, m)) : 0;  // t_min, 0 for none
      StepPlan plan{.last = T - std::max(stop, 1), .jumps = stop > 0, .trained = {}};
      const int executed = plan.last + 1;
      const int count =
          options_.subset == SpreadSubset::kPrefix ? std::min(options_.num_trained, executed) : options_.num_trained;
      const int range = options_.subset == SpreadSubset::kPrefix ? executed : T;
      const int cleanest = T - range + 1;  // the smallest t the steps may have
      const int stride = range / count;
      const int start = cleanest + static_cast<int>(rng.integer(0, range - 1 - (count - 1) * stride));
      for (int i = count - 1; i >= 0; --i)
        if (const int k = T - (start + i * stride); k <= plan.last) plan.trained.push_back(k);
      if (context.can_learn(plan.trained)) return plan;
    }
  }

 private:
  SpreadStepsOptions options_;
};
static_assert(StepSelectionPolicy<SpreadSteps>);

}  // namespace reward_tuner
