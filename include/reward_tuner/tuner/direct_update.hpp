// The update that differentiates the reward itself: rollout, reward, adjoint sweep, one optimizer step.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/core/prompt_groups.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/engine/adjoint.hpp>
#include <reward_tuner/engine/condition_gradient.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/graph_budget.hpp>
#include <reward_tuner/engine/reward_gradient.hpp>
#include <reward_tuner/engine/shared_work.hpp>
#include <reward_tuner/ranks/gradient_sum.hpp>
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

  /// Rolls the prompts out, a micro-batch at a time, adds up their gradients and makes one optimizer step; ranks divide
  /// the micro-batches. A number that is not finite ends the update before the step. With Memory::budget the first
  /// update to get so far measures what later ones retain; the first rank makes it alone.
  /// Errors: a micro-batch that would cut a group of the reward, fewer of them than ranks.
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
    check_micro_batches(parts_.ranks, static_cast<std::int64_t>(parts.size()), batch);
    const auto setup = [&](const std::vector<std::int64_t>& samples) {
      const Tensor rows = at::tensor(samples, at::kLong);
      RolloutSetup out = drawn.explored.select(rows);
      out.condition = condition.collect(std::move(out.condition), rows);
      return out;
    };
    std::vector<RolloutSetup> setups;  // beforehand where they collect gradients: those of all, on every rank
    if (condition.trained())
      for (const auto& samples : parts) setups.push_back(setup(samples));
    GradientSum sum = gradient_sum(update, condition);
    Micro<std::remove_reference_t<decltype(update.pipeline)>> micro{update.pipeline, sum, graphs};
    std::vector<Measured> own;
    const auto count = static_cast<std::int64_t>(parts.size());
    const auto [first, last] =
        !graphs ? parts_.ranks.own(count) : std::pair<std::int64_t, std::int64_t>(0, parts_.ranks.first() ? count : 0);
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last) && !skips(own); ++i) {
      accumulate(micro, condition.trained() ? std::move(setups[i]) : setup(parts[i]), drawn.noise.select(parts[i]),
                 static_cast<double>(parts[i].size()) / static_cast<double>(batch), own);
    }
    const auto rows =  // before anything is sent: as a process that is alone measures
        graphs ? graphs->rows_within(engine_.memory.bytes(), count > 1 || report.plan.replicas > 0) : std::nullopt;
    for (const Measured& measured : of_all_ranks(parts_.ranks, std::move(own)))
      if (report.skip_reason.empty()) write(measured, update);
    if (!report.skip_reason.empty()) return;
    sum.finish();
    if (graphs) retain(rows);
    condition.backward();
    add_own_loss(parts_.regularizer, update);
    optimizer_step(update, *engine_.gradient_clip);
  }

 private:
  /// What a scored trajectory adds to the report: measured where it was computed, written by every rank.
  struct Measured {
    std::int64_t images = 0;
    double each = 0;                                      // an image's share of the update
    double reward = 0, loss = 0;                          // sums over the images
    double regularizer = 0;                               // its share included
    std::map<std::string, double> components = {};        // sums over the images
    std::vector<std::pair<int, double>> cotangents = {};  // of the trained steps
    TowerCounts towers = {};
    NetworkCounts counts = {};  // since the one before
    std::string skip_reason = {};
  };
  static bool skips(const std::vector<Measured>& measured) {
    return !measured.empty() && !measured.back().skip_reason.empty();
  }

  /// What all micro-batches share.
  template <class Pipeline>
  struct Micro {
    Pipeline& pipeline;
    GradientSum& sum;
    std::optional<GraphMeter>& graphs;
  };

  /// Rolls out one micro-batch, `share` of the batch, and adds its gradients.
  template <class Pipeline>
  void accumulate(const Micro<Pipeline>& micro, RolloutSetup setup, SampleNoise noise, double share,
                  std::vector<Measured>& out) const {
    const StepPlan plan = setup.plan;
    // images of each sample that the loss is averaged over
    const double part = share / ((plan.trained.empty() ? 0 : 1) + plan.replicas);
    NetworkCounts counts;
    Trajectory trajectory;
    {
      Graphs kept{retention(setup), micro.graphs};
      trajectory = rollout(micro.pipeline, std::move(setup), noise, counts, {.retained = kept.retained()});
      if (!plan.trained.empty())
        out.push_back(differentiate(micro, trajectory, noise.seeds(), part, kept, std::exchange(counts, {})));
    }
    for (int i = 0; i < plan.replicas && !skips(out); ++i) {
      Graphs kept{retention(trajectory.setup.with(replica_plan(trajectory.setup.schedule.num_steps()))), micro.graphs};
      const Trajectory replica = renoised(micro.pipeline, trajectory, noise, counts, kept.retained());
      out.push_back(differentiate(micro, replica, noise.seeds(), part, kept, std::exchange(counts, {})));
    }
  }

  /// The graphs of one rollout: those it keeps, and what measures the others.
  struct Graphs {
    std::optional<RetainedCalls> calls;
    std::optional<GraphMeter>& meter;
    RetainedCalls* retained() { return calls ? &*calls : nullptr; }
  };

  /// Keeps what the first rank measured.
  void retain(const std::optional<std::int64_t>& rows) const {
    const auto decided = static_cast<std::int64_t>(parts_.ranks.firsts(static_cast<double>(rows.value_or(-1))));
    parts_.state.retained_rows = decided < 0 ? std::nullopt : std::optional(decided);
  }

  /// Where a rollout keeps graphs; nothing where it keeps none.
  std::optional<RetainedCalls> retention(const RolloutSetup& setup) const {
    const auto& rows = parts_.state.retained_rows;
    const bool within = engine_.memory.way() == Memory::kBudget;
    if (engine_.memory == Memory::kReplay || (within && !rows)) return std::nullopt;
    RetainedCalls calls{[this, plan = setup.plan](int k) { return enters_input(parts_.gradient_stop, plan, k); }};
    if (within) calls.keeps = last_steps_within(setup, *rows);
    return calls;
  }

  /// Scores one trajectory and adds its gradients; its losses weigh `share` of the update's. `counts`: of its rollout.
  template <class Pipeline>
  Measured differentiate(const Micro<Pipeline>& micro, const Trajectory& trajectory,
                         const std::vector<std::uint64_t>& seeds, double share, Graphs& graphs,
                         NetworkCounts counts) const {
    const std::int64_t images = trajectory.setup.size();
    const double each = share / static_cast<double>(images);
    const RewardGradient scored = reward_gradient(
        micro.pipeline, parts_.reward,
        {trajectory.clean, trajectory.setup.condition.prompts, seeds,
         prompt_groups(trajectory.setup.condition.prompts)},
        [this](const Tensor& rewards) { return parts_.objective.losses(rewards); }, engine_.decode_batch);
    Measured out{.images = images,
                 .each = each,
                 .reward = scored.reward,
                 .loss = scored.loss,
                 .components = scored.components,
                 .towers = scored.towers,
                 .counts = counts,
                 .skip_reason = scored.skip_reason};
    if (!scored.skip_reason.empty()) return out;
    if (graphs.meter) graphs.meter->scored();
    const SweepResult sweep =
        adjoint_sweep(micro.pipeline, trajectory, each * scored.gradient, parts_.gradient_stop, out.counts,
                      {.replay_batch = engine_.replay_batch,
                       .retained = graphs.retained(),
                       .graphs = graphs.meter ? &*graphs.meter : nullptr,
                       .reference_weight = reference_weight(parts_.regularizer) * share,
                       .accumulated = [&] { micro.sum.next(); }});
    read(sweep, out);
    return out;
  }

  /// Reads what a sweep measured. All of it at once: each reading waits for the device.
  static void read(const SweepResult& sweep, Measured& out) {
    std::vector<Tensor> measured;
    for (const auto& [k, norm] : sweep.cotangent_norms) measured.push_back(norm);
    if (sweep.regularizer.defined()) measured.push_back(sweep.regularizer);
    const Tensor values = at::stack(measured).cpu();  // double [K] or [K+1]
    const double* value = values.const_data_ptr<double>();
    for (const auto& [k, norm] : sweep.cotangent_norms) out.cotangents.emplace_back(k, *value++);
    if (sweep.regularizer.defined()) out.regularizer = *value;
  }

  template <class Update>
  static void write(const Measured& measured, Update& update) {
    UpdateReport& report = update.report;
    update.counts.add(measured.counts);
    report.images += measured.images;
    report.towers.add(measured.towers);
    report.reward += measured.each * measured.reward;
    report.loss += measured.each * measured.loss;
    for (const auto& [name, sum] : measured.components) report.components[name] += measured.each * sum;
    if (!measured.skip_reason.empty()) {
      report.skip_reason = measured.skip_reason;
      if (std::isfinite(measured.reward)) update.scale.overflowed();  // in the decoder
      return;
    }
    report.kept += measured.images;
    report.regularizer += measured.regularizer;
    report.loss += measured.regularizer;
    for (const auto& [number, norm] : measured.cotangents) {
      auto step =
          std::find_if(report.steps.begin(), report.steps.end(), [k = number](const auto& s) { return s.step >= k; });
      if (step == report.steps.end() || step->step != number)
        step = report.steps.insert(step, StepReport{.step = number});
      step->cotangent_norm = std::hypot(step->cotangent_norm, norm);
    }
  }

  /// What every rank measured, micro-batch by micro-batch.
  static std::vector<Measured> of_all_ranks(const Ranks& ranks, std::vector<Measured> own) {
    if (ranks.alone()) return own;
    Parcel parcel;
    parcel.add_integer(static_cast<std::int64_t>(own.size()));
    for (const Measured& m : own) {
      parcel.add_integer(m.images);
      for (const double number : {m.each, m.reward, m.loss, m.regularizer}) parcel.add_number(number);
      add_to(parcel, m.components);
      parcel.add_integer(static_cast<std::int64_t>(m.cotangents.size()));
      for (const auto& [step, norm] : m.cotangents) {
        parcel.add_integer(step);
        parcel.add_number(norm);
      }
      add_to(parcel, m.towers);
      add_to(parcel, m.counts);
      parcel.add_text(m.skip_reason);
    }
    std::vector<Measured> all;
    for (Parcel& one : ranks.gather("micro-batches", parcel))
      for (std::int64_t left = one.integer(); left > 0; --left) {
        Measured& m = all.emplace_back();
        m.images = one.integer();
        for (double* number : {&m.each, &m.reward, &m.loss, &m.regularizer}) *number = one.number();
        read_from(one, m.components);
        for (std::int64_t more = one.integer(); more > 0; --more) {
          const auto step = static_cast<int>(one.integer());
          m.cotangents.emplace_back(step, one.number());
        }
        read_from(one, m.towers);
        read_from(one, m.counts);
        m.skip_reason = one.text();
      }
    return all;
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
