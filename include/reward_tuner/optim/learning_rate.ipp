// Definitions of learning_rate.hpp.
#pragma once
#include <reward_tuner/optim/learning_rate.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void check_options(const LearningRateSchedule& o, const std::string& where) {
  REWARD_TUNER_CHECK(o.floor >= 0 && o.floor <= 1, "[", where, "] learning_rate.floor must be in [0, 1], got ",
                     o.floor);
  REWARD_TUNER_CHECK(o.decay != LearningRateDecay::kConstant || o.floor == 0, "[", where,
                     "] learning_rate.floor expected a decay, kLinear or kCosine, got ", o.floor, " with kConstant");
  REWARD_TUNER_CHECK(o.warm_up >= 0, "[", where, "] learning_rate.warm_up must be >= 0, got ", o.warm_up);
}

REWARD_TUNER_INLINE double learning_rate_factor(const LearningRateSchedule& schedule, std::int64_t done,
                                                std::int64_t planned) {
  if (done < schedule.warm_up) return static_cast<double>(done + 1) / static_cast<double>(schedule.warm_up);
  // a warm-up as long as the run leaves nothing to fall over: what goes on beyond the plan has the floor
  const auto length = static_cast<double>(std::max<std::int64_t>(1, planned - schedule.warm_up));
  const double p = std::min(1.0, static_cast<double>(done - schedule.warm_up) / length);
  switch (schedule.decay) {
    case LearningRateDecay::kConstant:
      return 1;
    case LearningRateDecay::kLinear:
      return schedule.floor + (1 - schedule.floor) * (1 - p);
    case LearningRateDecay::kCosine:
      return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + std::cos(std::numbers::pi * p));
  }
  return 1;
}

}  // namespace reward_tuner
