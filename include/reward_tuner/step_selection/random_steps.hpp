// K steps drawn without replacement, without early stop.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// How many steps are drawn.
struct RandomStepsOptions {
  /// K, trained steps, 1..T; unset: 5, or all if they are fewer (large-scale RL paper, appendix A: 5 of 50)
  std::optional<int> num_trained = {};
  int skip_last = 0;  ///< last steps that are never drawn, 0..T-1: see AllStepsOptions
};
REWARD_TUNER_FIELDS(RandomStepsOptions, num_trained, skip_last);

/// S is a uniformly random subset of K of the n steps that the objective can learn from; each is trained with
/// probability K/n. n is T - skip_last, and with objectives on log-probabilities the number of those with noise.
/// Errors: K above n, at the first update.
class RandomSteps {
 public:
  using Role = StepSelectionRole;
  using Options = RandomStepsOptions;
  static constexpr std::string_view kName = "random_steps";
  static constexpr int kUsualSteps = 5;  ///< K, where the options leave it open and there are so many

  explicit RandomSteps(RandomStepsOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_trained.value_or(1) >= 1, "[RandomSteps] num_trained must be >= 1, got ",
                       *options_.num_trained);
    REWARD_TUNER_CHECK(options_.skip_last >= 0, "[RandomSteps] skip_last must be >= 0, got ", options_.skip_last);
  }
  const RandomStepsOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.skip_last < num_steps, "[RandomSteps] skip_last must be less than the sampler's ",
                       num_steps, " steps, got ", options_.skip_last);
    REWARD_TUNER_CHECK(options_.num_trained.value_or(1) <= num_steps - options_.skip_last,
                       "[RandomSteps] num_trained must be at most ", num_steps - options_.skip_last,
                       ", the sampler's steps without skip_last, got ", *options_.num_trained);
  }

  StepPlan plan(const PlanContext& context, Rng& rng) const {
    std::vector<int> steps = context.trainable_steps();
    std::erase_if(steps, [&](int k) { return k >= context.num_steps - options_.skip_last; });
    const auto n = static_cast<std::int64_t>(steps.size());
    std::int64_t wanted = options_.num_trained.value_or(std::min<std::int64_t>(kUsualSteps, n));
    REWARD_TUNER_CHECK(wanted <= n, "[RandomSteps] num_trained must be at most ", n, ", of the sampler's ",
                       context.num_steps, " steps those with noise, got ", wanted);
    StepPlan plan{.last = context.num_steps - 1, .jumps = false, .trained = {}};
    // selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2 S): each subset is equally likely
    for (std::int64_t i = 0; i < n; ++i)
      if (rng.integer(0, n - i - 1) < wanted) {
        plan.trained.push_back(steps[static_cast<std::size_t>(i)]);
        --wanted;
      }
    return plan;
  }

 private:
  RandomStepsOptions options_;
};
static_assert(StepSelectionPolicy<RandomSteps>);

}  // namespace reward_tuner
