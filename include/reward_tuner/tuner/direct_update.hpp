// The update that differentiates the reward itself: rollout, reward, adjoint sweep, one optimizer step.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/condition_gradient.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/graph_budget.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/step_selection/spread_steps.hpp>
#include <reward_tuner/tuner/micro_batches.hpp>
#include <reward_tuner/tuner/running_update.hpp>
#include <reward_tuner/tuner/surrogate_rules.hpp>

namespace reward_tuner {

/// Surrogate::kReward: the gradient of the objective's loss of each reward, back through decoder and sampler.
template <class Parts>
class DirectUpdate {
 public:
  explicit DirectUpdate(Parts& parts) : parts_(parts), engine_(parts.options.engine) {}

  /// Rolls the prompts out, a micro-batch at a time, adds up their gradients and makes one optimizer step. A number
  /// that is not finite ends the update before it. With Memory::budget the first update to get so far measures what
  /// later ones retain. Errors: a micro-batch that would cut a group of the reward.
  template <class Update>
  void train(Update& update, const std::vector<std::string>& prompts) const {
    const auto drawn = parts_.draw(update.pipeline, prompts, 1, update.rng);
    UpdateReport& report = update.report;
    report.plan = drawn.explored.plan;
    const std::int64_t batch = drawn.explored.size();
    const std::vector<std::int64_t> groups = prompt_groups(drawn.explored.condition.prompts);
    const auto parts = per_group(parts_.reward) ? whole_groups(groups, engine_.micro_batch, reward_name(parts_.reward))
                                                : micro_batches(batch, engine_.micro_batch);
    ConditionGradient condition(update.pipeline, drawn.source, engine_.micro_batch);
    std::optional<GraphMeter> graphs;
    if (engine_.memory.way() == Memory::kBudget && !parts_.state.retained_rows) graphs.emplace(update.memory);
    for (std::size_t i = 0; i < parts.size() && report.skip_reason.empty(); ++i) {
      const Tensor rows = at::tensor(parts[i], at::kLong);
      RolloutSetup setup = drawn.explored.select(rows);
      setup.condition = condition.collect(std::move(setup.condition), rows);
      accumulate(update, std::move(setup), drawn.noise.select(parts[i]),
                 static_cast<double>(parts[i].size()) / static_cast<double>(batch), graphs);
    }
    if (!report.skip_reason.empty()) return;
    if (graphs)
      parts_.state.retained_rows =
          graphs->rows_within(engine_.memory.bytes(), parts.size() > 1 || report.plan.replicas > 0);
    condition.backward();
    add_own_loss(parts_.regularizer, update);
    optimizer_step(update, *engine_.gradient_clip);
  }

 private:
  /// Rolls out one micro-batch, `share` of the batch, and adds its gradients.
  template <class Update>
  void accumulate(Update& update, RolloutSetup setup, SampleNoise noise, double share,
                  std::optional<GraphMeter>& graphs) const {
    const StepPlan plan = setup.plan;
    // images of each sample that the loss is averaged over
    const double part = share / ((plan.trained.empty() ? 0 : 1) + plan.replicas);
    Trajectory trajectory;
    {
      Graphs kept{retention(setup), graphs};
      trajectory = rollout(update.pipeline, std::move(setup), noise, update.counts, {.retained = kept.retained()});
      if (!plan.trained.empty()) differentiate(update, trajectory, noise.seeds(), part, kept);
    }
    for (int i = 0; i < plan.replicas && update.report.skip_reason.empty(); ++i) {
      Graphs kept{retention(trajectory.setup.with(replica_plan(trajectory.setup.schedule.num_steps()))), graphs};
      const Trajectory replica = renoised(update.pipeline, trajectory, noise, update.counts, kept.retained());
      differentiate(update, replica, noise.seeds(), part, kept);
    }
  }

  /// The graphs of one rollout: those it keeps, and what measures the others.
  struct Graphs {
    std::optional<RetainedCalls> calls;
    std::optional<GraphMeter>& meter;
    RetainedCalls* retained() { return calls ? &*calls : nullptr; }
  };

  /// Where a rollout keeps graphs; nothing where it keeps none.
  std::optional<RetainedCalls> retention(const RolloutSetup& setup) const {
    const auto& rows = parts_.state.retained_rows;
    const bool within = engine_.memory.way() == Memory::kBudget;
    if (engine_.memory == Memory::kReplay || (within && !rows)) return std::nullopt;
    RetainedCalls calls{[this, plan = setup.plan](int k) { return enters_input(parts_.gradient_stop, plan, k); }};
    if (within) calls.keeps = last_steps_within(setup, *rows);
    return calls;
  }

  /// Scores one trajectory and adds its gradients; its losses weigh `share` of the update's.
  template <class Update>
  void differentiate(Update& update, const Trajectory& trajectory, const std::vector<std::uint64_t>& seeds,
                     double share, Graphs& graphs) const {
    UpdateReport& report = update.report;
    const std::int64_t images = trajectory.setup.size();
    const double each = share / static_cast<double>(images);
    const RewardGradient scored = reward_gradient(
        update.pipeline, parts_.reward,
        {trajectory.clean, trajectory.setup.condition.prompts, seeds,
         prompt_groups(trajectory.setup.condition.prompts)},
        [this](const Tensor& rewards) { return parts_.objective.losses(rewards); }, engine_.decode_batch);
    report.images += images;
    report.towers.add(scored.towers);
    report.reward += each * scored.reward;
    report.loss += each * scored.loss;
    for (const auto& [name, sum] : scored.components) report.components[name] += each * sum;
    if (!scored.skip_reason.empty()) {
      report.skip_reason = scored.skip_reason;
      if (std::isfinite(scored.reward)) update.scale.overflowed();  // in the decoder
      return;
    }
    if (graphs.meter) graphs.meter->scored();
    const SweepResult sweep =
        adjoint_sweep(update.pipeline, trajectory, each * scored.gradient, parts_.gradient_stop, update.counts,
                      {.replay_batch = engine_.replay_batch,
                       .retained = graphs.retained(),
                       .graphs = graphs.meter ? &*graphs.meter : nullptr,
                       .reference_weight = reference_weight(parts_.regularizer) * share});
    report.kept += images;
    write(sweep, report);
  }

  /// Adds what a sweep measured. All of it is read at once: each reading waits for the device.
  static void write(const SweepResult& sweep, UpdateReport& report) {
    std::vector<Tensor> measured;
    for (const auto& [k, norm] : sweep.cotangent_norms) measured.push_back(norm);
    if (sweep.regularizer.defined()) measured.push_back(sweep.regularizer);
    const Tensor values = at::stack(measured).cpu();  // double [K] or [K+1]
    const double* value = values.const_data_ptr<double>();
    if (sweep.regularizer.defined()) {
      report.regularizer += value[measured.size() - 1];
      report.loss += value[measured.size() - 1];
    }
    for (const auto& [k, norm] : sweep.cotangent_norms) {
      auto step =
          std::find_if(report.steps.begin(), report.steps.end(), [k = k](const auto& s) { return s.step >= k; });
      if (step == report.steps.end() || step->step != k) step = report.steps.insert(step, StepReport{.step = k});
      step->cotangent_norm = std::hypot(step->cotangent_norm, *value++);
    }
  }

  Parts& parts_;
  const EngineOptions& engine_;
};

template <>
struct SurrogateRules<Surrogate::kReward> {
  template <class Parts>
  using Update = DirectUpdate<Parts>;
  using DefaultSteps = SpreadSteps;
  static constexpr bool kSamples = false, kAdvantages = false;
  static constexpr double kGradientClip = 0.1;  // DRTune-paper 4.1
  static constexpr std::string_view kKept = "; parameters are as before the first of them";

  template <class Reward, class Sampler, class Objective, class Regularizer, class... Given>
  struct Allows {
    static_assert(!RewardTraits<Reward>::kBlackBox,
                  "[DirectGradient] needs a differentiable reward; this one is a black box");
    static_assert(detail::count_role<AdvantageRole, Given...> == 0,
                  "[RewardTuner] an AdvantagePolicy cannot be combined with DirectGradient, which differentiates the "
                  "reward itself");
    static_assert(detail::count_role<BranchingRole, Given...> == 0,
                  "[RewardTuner] a BranchingPolicy cannot be combined with DirectGradient, which differentiates the "
                  "reward itself");
    static constexpr bool value = true;
  };

  template <class Sampler>
  static typename Sampler::Options completed(typename Sampler::Options options) {
    return options;
  }
  static void check(const EngineOptions&, std::string_view) {}
  static void check(const StepPlan&, const SamplerSchedule&, std::string_view) {}
  static std::vector<int> trainable(const SamplerSchedule&) { return {}; }
};

}  // namespace reward_tuner
