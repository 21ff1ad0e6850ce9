// B2-DiffuRL's backward progressive training: a growing window of last steps.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// Where BackwardWindow begins, and how fast it grows.
struct BackwardWindowOptions {
  /// n_init, last steps trained in the first round, 1..T; 0: round(0.7*T), the share in B2-DiffuRL's code (14 of 20)
  int initial = 0;
  /// R, updates after which all T steps are trained, >= 1 (B2-DiffuRL's code: the whole run, 100); unset: the run's, by
  /// the tuner's plan()
  std::optional<std::int64_t> rounds = {};
  int skip_last =
      0;  ///< last steps of the window that are not trained, less than its first length: see AllStepsOptions
};
REWARD_TUNER_FIELDS(BackwardWindowOptions, initial, rounds, skip_last);

/// S = {1, .., n_r} in the paper's clock, n_r = min(T, n_init + floor((T - n_init + 1)*r/R)) after r updates (B2-paper,
/// appendix D.1, with the rounding of its code: each length lasts R/(T - n_init + 1) rounds, T among them); with
/// skip_last without the smallest of it.
class BackwardWindow {
 public:
  using Role = StepSelectionRole;
  using Options = BackwardWindowOptions;
  static constexpr std::string_view kName = "backward_window";

  explicit BackwardWindow(BackwardWindowOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.initial >= 0, "[BackwardWindow] initial must be >= 1, or 0 for 0.7*T, got ",
                       options_.initial);
    REWARD_TUNER_CHECK(options_.skip_last >= 0, "[BackwardWindow] skip_last must be >= 0, got ", options_.skip_last);
    REWARD_TUNER_CHECK(!options_.rounds || *options_.rounds >= 1, "[BackwardWindow] rounds must be >= 1, got ",
                       *options_.rounds);
  }
  const BackwardWindowOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.initial <= num_steps, "[BackwardWindow] initial must be at most the sampler's ",
                       num_steps, " steps, got ", options_.initial);
    REWARD_TUNER_CHECK(options_.skip_last < first_length(num_steps),
                       "[BackwardWindow] skip_last must be less than the first window of ", first_length(num_steps),
                       " steps, got ", options_.skip_last);
  }

  StepPlan plan(const PlanContext& context, Rng&) const {
    const int T = context.num_steps;
    const int initial = first_length(T);
    const std::int64_t R = planned_length(options_.rounds, context, "[BackwardWindow] rounds");
    const std::int64_t r = std::clamp<std::int64_t>(context.update, 0, R);
    const int n = static_cast<int>(std::min<std::int64_t>(T, initial + (T - initial + 1) * r / R));
    StepPlan plan{
        .last = T - 1, .jumps = false, .trained = std::vector<int>(static_cast<std::size_t>(n - options_.skip_last))};
    std::iota(plan.trained.begin(), plan.trained.end(), T - n);
    return plan;
  }

 private:
  /// 1 for T = 1
  int first_length(int T) const {
    return options_.initial > 0 ? options_.initial : static_cast<int>(std::lround(0.7 * T));
  }

  BackwardWindowOptions options_;
};
static_assert(StepSelectionPolicy<BackwardWindow>);

}  // namespace reward_tuner
