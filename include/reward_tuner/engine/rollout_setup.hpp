// The inputs of a rollout as one value: the sampler's table, the plan, the condition and the guidance.
#pragma once
#include <cstdint>
#include <utility>

#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/core/step_plan.hpp>
#include <reward_tuner/engine/per_step.hpp>
#include <reward_tuner/models/condition.hpp>

namespace reward_tuner {

/// The set-up of a rollout of B samples over T steps. A finished rollout keeps its own.
struct RolloutSetup {
  SamplerSchedule schedule;  ///< T steps
  StepPlan plan;             ///< which of them are trained, and where the rollout ends
  Condition condition;       ///< B samples
  PerStep<double> guidance;  ///< [T] scale of classifier-free guidance; 1 and less: the condition alone

  std::int64_t size() const { return condition.size(); }
  /// The set-up of samples start .. start+count-1.
  RolloutSetup narrow(std::int64_t start, std::int64_t count) const {
    return {schedule, plan, condition.narrow(start, count), guidance};
  }
  /// The set-up of the samples that `rows` (int64 [n], on the CPU) names.
  RolloutSetup select(const Tensor& rows) const { return {schedule, plan, condition.select(rows), guidance}; }
  /// The same rollout with other steps trained.
  RolloutSetup with(StepPlan other) const { return {schedule, std::move(other), condition, guidance}; }
};

/// A plan that trains nothing and runs to the end.
inline StepPlan sampling_plan(int num_steps) { return {.last = num_steps - 1, .jumps = false, .trained = {}}; }

/// Ordinary sampling at one guidance scale.
inline RolloutSetup sampling_setup(SamplerSchedule schedule, Condition condition, double guidance) {
  const int steps = schedule.num_steps();
  return {std::move(schedule), sampling_plan(steps), std::move(condition), PerStep<double>(steps, guidance)};
}

}  // namespace reward_tuner
