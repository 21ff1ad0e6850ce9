// K steps drawn without replacement, without early stop.
#pragma once
#include <algorithm>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// How many steps are drawn.
struct RandomStepsOptions {
  int num_trained = 5;  ///< K, trained steps, 1..T (large-scale RL paper, appendix A: 5 of 50)
};

/// S is a uniformly random subset of K of the T steps; each step is trained with probability K/T.
class RandomSteps {
 public:
  using Role = StepSelectionRole;
  using Options = RandomStepsOptions;
  static constexpr std::string_view kName = "random_steps";

  explicit RandomSteps(RandomStepsOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_trained >= 1, "[RandomSteps] num_trained must be >= 1, got ", options_.num_trained);
  }
  const RandomStepsOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.num_trained <= num_steps, "[RandomSteps] num_trained must be at most the sampler's ",
                       num_steps, " steps, got ", options_.num_trained);
  }

  StepPlan plan(const PlanContext& context, Rng& rng) const {
    const int T = context.num_steps;
    StepPlan plan{.last = T - 1, .jumps = false, .trained = {}};
    int wanted = options_.num_trained;
    // selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2 S): each subset is equally likely
    for (int k = 0; k < T; ++k)
      if (rng.integer(0, T - k - 1) < wanted) {
        plan.trained.push_back(k);
        --wanted;
      }
    return plan;
  }

 private:
  RandomStepsOptions options_;
};
static_assert(StepSelectionPolicy<RandomSteps>);

}  // namespace reward_tuner
