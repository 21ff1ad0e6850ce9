// The update that learns from log-probabilities of sampled steps, weighted by advantages: a round of rollouts, and
// optimizer steps on their transitions.
#pragma once
#include <ATen/ops/div.h>
#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <reward_tuner/branching/no_branching.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/engine/policy_gradient.hpp>
#include <reward_tuner/engine/shared_work.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/ranks/gradient_sum.hpp>
#include <reward_tuner/tuner/idle_round.hpp>
#include <reward_tuner/tuner/round.hpp>
#include <reward_tuner/tuner/round_rules.hpp>
#include <reward_tuner/tuner/round_sampling.hpp>
#include <reward_tuner/tuner/round_selection.hpp>
#include <reward_tuner/tuner/round_training.hpp>
#include <reward_tuner/tuner/row_advantages.hpp>
#include <reward_tuner/tuner/surrogate_rules.hpp>

namespace reward_tuner {

/// Surrogate::kLogProb: the objective's loss over rows, each one kept image at one trained step.
template <class Parts>
class LogProbRound {
  using Objective = typename Parts::Objective;
  static constexpr bool kPairs = ObjectiveTraits<Objective>::kPairs;
  static constexpr std::int64_t kRowsOfUnit = kPairs ? 2 : 1;

 public:
  explicit LogProbRound(Parts& parts) : parts_(parts), options_(parts.objective.options().round) {}

  /// Rollouts that keep their trained transitions, scored; the advantages decide which branches are kept.
  template <DiffusionPipeline Pipeline>
  Round sample(Pipeline& pipeline, const std::vector<std::string>& prompts, Rng& rng) const {
    Round round;
    UpdateReport& report = round.report;
    NetworkCounts counts;
    const std::int64_t copies = samples_per_prompt(parts_), branches = parts_.branching.branches();
    auto drawn = parts_.draw(pipeline, prompts, copies, rng);
    report.plan = drawn.explored.plan;
    check_micro_batches(parts_, drawn.explored.size() * branches);
    const auto [all, rewards] =
        sample_and_score(pipeline, parts_, [&](const std::function<void(const CleanSamples&)>& finished) {
          return sample_transitions(pipeline, drawn.explored, std::move(drawn.noise),
                                    {.branches = static_cast<int>(branches),
                                     .micro_batch = parts_.options.engine.micro_batch,
                                     .reduction = options_.reduction,
                                     .finished = finished,
                                     .ranks = parts_.ranks},
                                    counts);
        });
    const RoundRewards scored = round_rewards(parts_, all, rewards, report);
    Tensor kept = at::zeros({0}, at::kLong);  // int64 [kept]
    if (report.skip_reason.empty()) {
      round.scored = scored.scored;
      RewardHistory history = parts_.state.history;  // the tuner's own remembers a round that is trained
      const std::vector<double> advantages = parts_.advantage.advantages(round.scored, history);  // [N]
      kept = select_branches<Objective>(round, advantages, parts_.branching);
      count_groups(round, round.scored.groups, kept, report);
      if (kept.numel() == 0)
        report.idle_reason =
            idle_reason(round.scored.rewards, advantages, policy_name(parts_.advantage), policy_name(parts_.branching));
      kept = scored.images.index_select(0, kept);
    }
    report.kept = kept.numel();
    round.transitions = all.select(kept);
    const Tensor roots = at::div(kept, branches, "floor");  // int64 [kept]
    const bool plain = options_.target == RatioTarget::kPlain && parts_.exploring();
    round.source = (plain ? drawn.plain : drawn.source).select(roots);
    if ((plain || options_.recompute_log_probs) && report.kept > 0) {
      RolloutSetup target = round.transitions.setup;
      if (plain) {
        target.condition = round.source.condition();
        target.guidance = parts_.plain_guidance(target.schedule.num_steps());
      }
      retarget(pipeline, round.transitions, std::move(target), rows_at_once(parts_, report.kept), options_.reduction,
               parts_.ranks, counts);
    }
    add_counts(report, of_all_ranks(parts_.ranks, counts));
    return round;
  }

  /// Lets the advantage remember a round that was trained.
  void remember(const Round& round) { parts_.advantage.advantages(round.scored, parts_.state.history); }

  /// Passes over the kept images, cut into optimizer steps. Loss: the mean over the rows (or pairs) of a step, each
  /// with the weight of its timestep. Fits the objective's learned baseline afterwards, if every step was made.
  template <class Update>
  void train(Update& update, const Round& round) {
    const Transitions& t = round.transitions;
    advantages_ = row_advantages(round, parts_.objective, parts_.state.tensors);
    const std::vector<double> weights = step_weights(t.setup.schedule, t.steps(), options_.step_weights);
    step_weights_ = PerStep<double>(t.setup.schedule.num_steps());
    for (std::size_t i = 0; i < weights.size(); ++i) step_weights_(t.steps()[i]) = weights[i];
    const std::int64_t units = kPairs ? static_cast<std::int64_t>(round.pairs.size()) : t.size();
    bool sound = true;
    std::int64_t steps_wanted = 0;
    for (int epoch = 0; epoch < options_.epochs && sound; ++epoch) {
      if (options_.step_per_timestep) {
        std::vector<std::int64_t> everyone(static_cast<std::size_t>(units));
        std::iota(everyone.begin(), everyone.end(), 0);
        for (std::size_t i = 0; i < t.steps().size() && sound; ++i, ++steps_wanted)
          sound = step(update, round, everyone, {t.steps()[i]});
      } else {
        const auto parts = shares(units, std::max(1, options_.updates_per_epoch), update.rng);
        for (std::size_t i = 0; i < parts.size() && sound; ++i, ++steps_wanted)
          sound = step(update, round, parts[i], t.steps());
      }
    }
    update.counts.add(of_all_ranks(parts_.ranks, counts_));
    write(update.report, steps_wanted, round.weights_moved);
    if (sound) fit_baseline(round, parts_.objective, parts_.state.tensors, update.rng);
  }

 private:
  /// A unit (an image, or a pair) at a trained step.
  struct Term {
    std::int64_t unit = 0;
    int step = 0;
  };

  /// The rows of terms begin .. end-1; of pairs the better ones first.
  std::vector<PolicyRow> rows(const Round& round, const std::vector<Term>& terms, std::size_t begin,
                              std::size_t end) const {
    std::vector<PolicyRow> out;
    for (int half = 0; half < kRowsOfUnit; ++half)
      for (std::size_t i = begin; i < end; ++i) {
        const auto& [unit, step] = terms[i];
        std::int64_t sample = unit;
        if constexpr (kPairs) {
          const auto& [better, worse] = round.pairs[static_cast<std::size_t>(unit)];
          sample = half == 0 ? better : worse;
        }
        out.push_back({sample, step, advantages_(step)[static_cast<std::size_t>(sample)], step_weights_(step)});
      }
    return out;
  }

  /// One optimizer step on the chosen units at some steps. False if its gradient is not finite.
  template <class Update>
  bool step(Update& update, const Round& round, const std::vector<std::int64_t>& chosen,
            const std::vector<int>& steps) {
    std::vector<Term> terms;
    for (const int k : steps)
      for (const std::int64_t unit : chosen) terms.push_back({unit, k});
    const PolicyBackwardOptions weights{.share = 1.0 / static_cast<double>(terms.size()),
                                        .reference_weight = reference_weight(parts_.regularizer)};
    const std::int64_t at_once = rows_at_once(parts_, update.report.kept) / kRowsOfUnit;
    ConditionGradient condition = round_gradient(parts_, update, round);
    const Transitions t = present_transitions(round, condition);
    PolicyRowsMeasured measured;
    GradientSum sum = gradient_sum(update, condition);
    const std::int64_t size = std::max<std::int64_t>(1, at_once);
    const auto [first, last] = parts_.ranks.own(static_cast<std::int64_t>(terms.size()), size);
    for (std::int64_t begin = first; begin < last; begin += size) {
      measured.add(policy_backward(
          update.pipeline, t,
          rows(round, terms, static_cast<std::size_t>(begin), static_cast<std::size_t>(std::min(last, begin + size))),
          parts_.objective, weights, counts_));
      sum.next();
    }
    sum.finish();
    condition.backward();
    const PolicyRowsResult result = measured.of_all_ranks(parts_.ranks, t.clean.device()).read();
    if (update.report.optimizer_steps == 0) first_ = result;
    all_.add(result);
    return end_round_step(parts_, update);
  }

  void write(UpdateReport& report, std::int64_t steps_wanted, bool weights_moved) const {
    const auto steps = static_cast<double>(std::max<std::int64_t>(1, steps_wanted));
    report.regularizer += all_.regularizer / steps;
    report.loss += (all_.loss + all_.regularizer) / steps;
    report.ratio_deviation = first_.ratio_deviation;
    const PolicyRowSums first = first_.all(), all = all_.all();
    const auto rows = static_cast<double>(all.rows);
    report.log_prob_difference = first.absolute_change / static_cast<double>(first.rows);
    report.largest_log_prob_difference = first_.largest_change;
    const double deviation = all.ratio / rows;
    report.ratio_mean = 1 + deviation;
    report.ratio_std = std::sqrt(largest(all.squared_ratio / rows - deviation * deviation, 0.0));
    report.clip_fraction_low = all.clipped_low / rows;
    report.clip_fraction_high = all.clipped_high / rows;
    const auto add = [&](const PolicyRowSums& sums, auto& to) {
      to.clip_fraction = (sums.clipped_low + sums.clipped_high) / static_cast<double>(sums.rows);
      to.policy_change = sums.squared_change / static_cast<double>(sums.rows);
    };
    add(all, report);
    for (const auto& [k, sums] : all_.steps) {
      StepReport& step = report.steps.emplace_back();
      step.step = k;
      step.rows = sums.rows;
      step.cotangent_norm = std::sqrt(sums.squared_cotangent);
      add(sums, step);
    }
    if (!weights_moved) check_first_ratio(report);
  }

  /// A range of ratios means nothing where the first is already off by a good part of it.
  void check_first_ratio(UpdateReport& report) const {
    const std::optional<double> clip = ObjectiveTraits<Objective>::clip(parts_.objective);
    const double tolerance = options_.ratio_tolerance.value_or(clip ? 0.1 * *clip : 1e-3);
    if (!(first_.ratio_deviation > tolerance)) return;  // NaN skips the update
    std::ostringstream warning;
    warning << "the first ratio of new to old probability should be 1 and is off by " << first_.ratio_deviation;
    if (clip) warning << ", with a clip range of " << *clip;
    warning << ": rollout and replay disagree (half precision of weights, rollout_dtype or autocast, kernels of a "
               "card for calls without gradient, or a model with dropout); objective.round.recompute_log_probs makes "
               "them agree";
    add_sentence(report.warning, warning.str());
  }

  Parts& parts_;
  const RoundOptions& options_;
  PerStep<std::vector<double>> advantages_;  // at trained steps [kept]
  PerStep<double> step_weights_;             // at trained steps
  PolicyRowsResult all_, first_;             // of all optimizer steps, and of the first
  NetworkCounts counts_;                     // of this rank's rows
};

template <>
struct SurrogateRules<Surrogate::kLogProb> : RoundRules {
  template <class Parts>
  using Update = LogProbRound<Parts>;
  static constexpr bool kAdvantages = true;

  template <class Reward, class Sampler, class Objective, class Regularizer, class... Given>
  struct Allows : AllowsRounds<Given...> {
    static_assert(
        SamplerTraits<Sampler>::kStochastic,
        "[DDPO] needs a sampler with log_prob: Ddpm, EulerAncestral, Ddim with eta > 0 or DpmSolver with noise; so do "
        "all objectives on log-probabilities");
    static_assert(
        !std::is_same_v<policy_for<BranchingRole, NoBranching, Given...>, NoBranching> ||
            !ObjectiveTraits<Objective>::kPairs,
        "[Preference] needs a BranchingPolicy that keeps a better and a worse branch of a root: BestAndWorst");
    static constexpr bool value = true;
  };

  template <class Sampler>
  static typename Sampler::Options completed(typename Sampler::Options options) {
    return SamplerTraits<Sampler>::stochastic(options);
  }
  using RoundRules::check;
  static void check(const StepPlan& plan, const SamplerSchedule& schedule, std::string_view name) {
    RoundRules::check(plan, schedule, name);
    for (const int k : trainable(schedule))
      REWARD_TUNER_CHECK(
          !schedule.has_history(k), "[RewardTuner] ", name,
          " needs steps whose density is given by the latent alone: expected DpmSolver with order 1, got "
          "a step of order 2 that continues with the step before: ",
          k);
    REWARD_TUNER_CHECK(!stochastic_steps(schedule, plan.trained).empty(), "[RewardTuner] ", name,
                       " needs a sampler with log_prob: Ddpm, EulerAncestral, Ddim with eta > 0 or DpmSolver with "
                       "noise; got no noise in any of the trained steps ",
                       plan);
  }
  static std::vector<int> trainable(const SamplerSchedule& schedule) {
    std::vector<int> all(static_cast<std::size_t>(schedule.num_steps()));
    std::iota(all.begin(), all.end(), 0);
    return stochastic_steps(schedule, all);
  }
};

}  // namespace reward_tuner
