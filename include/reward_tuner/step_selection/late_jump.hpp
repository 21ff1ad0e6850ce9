// ReFL's selection: a jump to the clean sample from a random step near the end, and that step alone is trained.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// The range from which LateJump's step is drawn.
struct LateJumpOptions {
  /// T1, the jump starts at least this many steps before the end, 1..max_stop (ReFL, ImageReward paper 4.1: 1)
  int min_stop = 1;
  int max_stop = 10;  ///< T2, and at most this many, <= T (ReFL: 10 of 40; DRTune-paper Table 1 also has 20)
};
REWARD_TUNER_FIELDS(LateJumpOptions, min_stop, max_stop);

/// S = {t_min}, t_min = randint(T1, T2) in the paper's clock (Xu et al. 2023, ImageReward, Alg. 1; DRTune-paper Alg. 1,
/// line 8). The jump's input gradient is never needed, so StopInput and PassInput are equal here.
class LateJump {
 public:
  using Role = StepSelectionRole;
  using Options = LateJumpOptions;
  static constexpr std::string_view kName = "late_jump";

  explicit LateJump(LateJumpOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.min_stop >= 1 && options_.min_stop <= options_.max_stop,
                       "[LateJump] expected 1 <= min_stop <= max_stop, got ", options_.min_stop, " and ",
                       options_.max_stop);
  }
  const LateJumpOptions& options() const { return options_; }

  void check(int num_steps) const {
    REWARD_TUNER_CHECK(options_.max_stop <= num_steps, "[LateJump] max_stop must be at most the sampler's ", num_steps,
                       " steps, got ", options_.max_stop);
  }

  StepPlan plan(const PlanContext& context, Rng& rng) const {
    const int k = context.num_steps - static_cast<int>(rng.integer(options_.min_stop, options_.max_stop));
    return {.last = k, .jumps = true, .trained = {k}};
  }

 private:
  LateJumpOptions options_;
};
static_assert(StepSelectionPolicy<LateJump>);

}  // namespace reward_tuner
