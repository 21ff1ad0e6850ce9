// The gradients of an update that differentiates the reward itself, a micro-batch at a time.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// Policies of a tuner by reference, and what an update does with them.
template <class Reward, class Stop, class Objective, class Regularizer>
class DirectUpdate {
 public:
  DirectUpdate(const Reward& reward, const Stop& stop, const Objective& objective, const Regularizer& regularizer,
               const EngineOptions& engine)
      : reward_(reward), stop_(stop), objective_(objective), regularizer_(regularizer), engine_(engine) {}

  /// Rolls out one micro-batch and adds its gradients. Sets report.skip_reason instead of touching anything when a
  /// number is not finite.
  template <DiffusionPipeline Pipeline>
  void accumulate(Pipeline& pipeline, const SamplerSchedule& schedule, Condition condition,
                  const std::vector<double>& guidance, SampleNoise noise, double share, NetworkCounts& counts,
                  UpdateReport& report) const {
    const StepPlan& plan = report.plan;
    // images of each sample that the loss is averaged over
    const int scored = (plan.trained.empty() ? 0 : 1) + plan.replicas;
    const double part = share / scored;
    Trajectory trajectory;
    {
      RetainedCalls retained = retention(plan);
      RetainedCalls* const kept = engine_.memory == Memory::kRetain ? &retained : nullptr;
      trajectory = rollout(pipeline, schedule, plan, std::move(condition), guidance, noise, counts, {.retained = kept});
      if (!plan.trained.empty()) differentiate(pipeline, trajectory, noise, part, kept, counts, report);
    }
    for (int i = 0; i < plan.replicas && report.skip_reason.empty(); ++i) {
      RetainedCalls retained = retention(replica_plan(schedule.num_steps()));
      RetainedCalls* const kept = engine_.memory == Memory::kRetain ? &retained : nullptr;
      const Trajectory replica =
          renoised(pipeline, schedule, trajectory.clean, trajectory.condition, guidance, noise, counts, kept);
      differentiate(pipeline, replica, noise, part, kept, counts, report);
    }
  }

 private:
  RetainedCalls retention(const StepPlan& plan) const {
    return {[this, plan](int k) { return enters_input(stop_, plan, k); }};
  }

  /// Scores one trajectory and adds its gradients; its losses weigh `share` of the update's.
  template <DiffusionPipeline Pipeline>
  void differentiate(Pipeline& pipeline, const Trajectory& trajectory, const SampleNoise& noise, double share,
                     RetainedCalls* retained, NetworkCounts& counts, UpdateReport& report) const {
    const double each = share / static_cast<double>(trajectory.clean.size(0));
    const RewardGradient scored = reward_gradient(
        pipeline, reward_, trajectory.clean, trajectory.condition.prompts, noise.seeds(),
        [this](const Tensor& rewards) { return objective_.losses(rewards); }, engine_.decode_batch);
    report.images += trajectory.clean.size(0);
    report.reward += each * scored.reward;
    report.loss += each * scored.loss;
    for (const auto& [name, sum] : scored.components) report.components[name] += each * sum;
    if (!scored.skip_reason.empty()) {
      report.skip_reason = scored.skip_reason;
      return;
    }
    const SweepResult sweep =
        adjoint_sweep(pipeline, trajectory, each * scored.gradient, stop_, regularizer_, counts,
                      {.replay_batch = engine_.replay_batch, .retained = retained, .batch_share = share});
    report.kept += trajectory.clean.size(0);
    report.regularizer += sweep.regularizer;
    report.loss += sweep.regularizer;
  }

  const Reward& reward_;
  const Stop& stop_;
  const Objective& objective_;
  const Regularizer& regularizer_;
  const EngineOptions& engine_;
};

}  // namespace reward_tuner
