// DRaFT's selection: the last K steps, without early stop.
#pragma once
#include <numeric>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// How many last steps are trained.
struct LastStepsOptions {
  /// K, the number of last steps trained, 1..T; T is DRaFT without truncation (Clark et al. 2024, section 4.2: 1)
  int num_trained = 1;
};
REWARD_TUNER_FIELDS(LastStepsOptions, num_trained);

/// S = {1, .., K} in the paper's clock (DRTune-paper Alg. 1, line 2).
class LastSteps {
 public:
  using Role = StepSelectionRole;
  using Options = LastStepsOptions;
  static constexpr std::string_view kName = "last_steps";

  explicit LastSteps(LastStepsOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_trained >= 1, "[LastSteps] num_trained must be >= 1, got ", options_.num_trained);
  }
  const LastStepsOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.num_trained <= num_steps, "[LastSteps] num_trained must be at most the sampler's ",
                       num_steps, " steps, got ", options_.num_trained);
  }

  StepPlan plan(const PlanContext& context, Rng&) const {
    StepPlan plan{.last = context.num_steps - 1,
                  .jumps = false,
                  .trained = std::vector<int>(static_cast<std::size_t>(options_.num_trained))};
    std::iota(plan.trained.begin(), plan.trained.end(), context.num_steps - options_.num_trained);
    return plan;
  }

 private:
  LastStepsOptions options_;
};
static_assert(StepSelectionPolicy<LastSteps>);

}  // namespace reward_tuner
