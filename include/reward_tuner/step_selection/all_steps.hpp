// Every sampler step is trained, or all but the last ones.
#pragma once
#include <cstddef>
#include <numeric>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// Which steps AllSteps leaves out.
struct AllStepsOptions {
  int skip_last = 0;  ///< last steps that are not trained, 0..T-1: what they add of noise can drown the others' signal
};
REWARD_TUNER_FIELDS(AllStepsOptions, skip_last);

/// S = {1, .., T} without the `skip_last` smallest: DRaFT without truncation, and the policy gradients (Black et al.
/// 2024, DDPO).
class AllSteps {
 public:
  using Role = StepSelectionRole;
  using Options = AllStepsOptions;
  static constexpr std::string_view kName = "all_steps";

  explicit AllSteps(AllStepsOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.skip_last >= 0, "[AllSteps] skip_last must be >= 0, got ", options_.skip_last);
  }
  const AllStepsOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.skip_last < num_steps, "[AllSteps] skip_last must be less than the sampler's ",
                       num_steps, " steps, got ", options_.skip_last);
  }

  StepPlan plan(const PlanContext& context, Rng&) const {
    StepPlan plan{.last = context.num_steps - 1,
                  .jumps = false,
                  .trained = std::vector<int>(static_cast<std::size_t>(context.num_steps - options_.skip_last))};
    std::iota(plan.trained.begin(), plan.trained.end(), 0);
    return plan;
  }

 private:
  AllStepsOptions options_;
};
static_assert(StepSelectionPolicy<AllSteps>);

}  // namespace reward_tuner
