// Every sampler step is trained.
#pragma once
#include <numeric>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// AllSteps has nothing to set.
struct AllStepsOptions {};

/// S = {1, .., T}: DRaFT without truncation, and the policy gradients (Black et al. 2024, DDPO).
class AllSteps {
 public:
  using Role = StepSelectionRole;
  using Options = AllStepsOptions;
  static constexpr std::string_view kName = "all_steps";

  explicit AllSteps(AllStepsOptions = {}) {}
  void check(int) const {}

  StepPlan plan(const PlanContext& context, Rng&) const {
    StepPlan plan{.last = context.num_steps - 1,
                  .jumps = false,
                  .trained = std::vector<int>(static_cast<std::size_t>(context.num_steps))};
    std::iota(plan.trained.begin(), plan.trained.end(), 0);
    return plan;
  }
};
static_assert(StepSelectionPolicy<AllSteps>);

}  // namespace reward_tuner
