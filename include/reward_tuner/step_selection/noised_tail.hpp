// DRaFT-LV's selection: the last step, trained at several noises of one result.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// What of the last step NoisedTail trains.
struct NoisedTailOptions {
  /// n, fresh noisings of the result whose last step is trained, >= 0; 0 is DRaFT-1 (Clark et al. 2024, section 4.2: 2)
  int num_noises = 2;
  bool include_base = true;  ///< also train the rollout's own last step; the published algorithm does
};
REWARD_TUNER_FIELDS(NoisedTailOptions, num_noises, include_base);

/// S = {1}, and n times x_1 = alpha_1*sg(x_0) + sigma_1*e with fresh e ~ N(0,I), x_0* = (x_1 -
/// sigma_1*eps(x_1))/alpha_1: the reward's gradient is averaged over x_0 and the n x_0* (Clark et al. 2024, DRaFT-LV,
/// Alg. 1 with the sum as a mean, so that the learning rate does not depend on n). Each noising costs one network
/// forward and backward (two forwards when replayed) and one decode, and lowers the variance of DRaFT-1's gradient.
class NoisedTail {
 public:
  using Role = StepSelectionRole;
  using Options = NoisedTailOptions;
  static constexpr std::string_view kName = "noised_tail";

  explicit NoisedTail(NoisedTailOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.num_noises >= 0, "[NoisedTail] num_noises must be >= 0, got ", options_.num_noises);
    REWARD_TUNER_CHECK(options_.include_base || options_.num_noises > 0,
                       "[NoisedTail] without the base at least one noise must be trained, got num_noises ",
                       options_.num_noises);
  }
  const NoisedTailOptions& options() const { return options_; }

  void check(int) const {}

  StepPlan plan(const PlanContext& context, Rng&) const {
    StepPlan plan{.last = context.num_steps - 1, .jumps = false, .trained = {}, .replicas = options_.num_noises};
    if (options_.include_base) plan.trained.push_back(plan.last);
    return plan;
  }

 private:
  NoisedTailOptions options_;
};
static_assert(StepSelectionPolicy<NoisedTail>);

}  // namespace reward_tuner
