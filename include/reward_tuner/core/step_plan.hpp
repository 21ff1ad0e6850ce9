// Which sampler steps one update trains, as plain data that can be compared and printed.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

/// What a step selection may look at.
struct PlanContext {
  int num_steps = 0;                         ///< T, the sampler's steps
  std::int64_t update = 0;                   ///< how many updates came before
  std::optional<std::int64_t> planned = {};  ///< updates of the whole run, by the tuner's plan(); unset: not known
  /// the steps that the objective can learn from, ascending: of one on log-probabilities those with noise; empty: all
  std::vector<int> trainable = {};

  /// `trainable`, written out.
  std::vector<int> trainable_steps() const {
    std::vector<int> all = trainable;
    if (all.empty())
      for (int k = 0; k < num_steps; ++k) all.push_back(k);
    return all;
  }
  /// Whether the objective can learn from one of the steps: a draw without any is to be repeated.
  bool can_learn(const std::vector<int>& steps) const {
    return std::any_of(steps.begin(), steps.end(), [&](int k) {
      return trainable.empty() || std::binary_search(trainable.begin(), trainable.end(), k);
    });
  }
};

/// The length that a policy's schedule is a share of: the one in its options, else the run's.
/// Errors: neither is known; `option` is where it could stand: "[BackwardWindow] rounds".
inline std::int64_t planned_length(const std::optional<std::int64_t>& own, const PlanContext& context,
                                   std::string_view option) {
  const std::optional<std::int64_t>& length = own ? own : context.planned;
  REWARD_TUNER_CHECK(length, option,
                     " expected a number, or the length of the run: a Trainer tells the tuner, a loop of your own by "
                     "tuner.plan(updates) before its first update; got neither");
  return length.value();
}

/// The decision for one update. Steps count forward, k = 0 the noisiest; the papers' t is T - k.
struct StepPlan {
  int last = 0;              ///< the last executed step
  bool jumps = false;        ///< step `last` predicts the clean sample in one shot (early stop) instead of stepping
  std::vector<int> trained;  ///< ascending, each in 0..last
  /// one per trained step; empty: all 1. Other weights serve importance-weighted selections
  std::vector<double> weights = {};
  /// number of fresh noisings of the clean sample whose last step is also trained (DRaFT-LV); losses are averaged. With
  /// replicas `trained` may be empty: the rollout's own result is then neither scored nor trained
  int replicas = 0;

  bool trains(int k) const { return std::binary_search(trained.begin(), trained.end(), k); }
  /// The weight of trained step k.
  double weight(int k) const {
    if (weights.empty()) return 1.0;
    return weights[static_cast<std::size_t>(std::lower_bound(trained.begin(), trained.end(), k) - trained.begin())];
  }
  /// The earliest trained step; `last + 1` if nothing is trained.
  int first() const { return trained.empty() ? last + 1 : trained.front(); }
  bool operator==(const StepPlan&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const StepPlan& plan) {
  out << "{trained";
  for (const int k : plan.trained) out << ' ' << k;
  out << "; last " << plan.last << (plan.jumps ? ", jumps" : "");
  if (plan.replicas > 0) out << "; replicas " << plan.replicas;
  return out << '}';
}

/// Throws unless the plan is consistent with T steps.
inline void check_plan(const StepPlan& plan, int num_steps) {
  REWARD_TUNER_CHECK(plan.last >= 0 && plan.last < num_steps, "[StepPlan] last must be in 0..", num_steps - 1, ", got ",
                     plan.last);
  REWARD_TUNER_CHECK(plan.jumps || plan.last == num_steps - 1, "[StepPlan] a plan that stops early at step ", plan.last,
                     " of ", num_steps, " must jump to the clean sample");
  REWARD_TUNER_CHECK(plan.replicas >= 0, "[StepPlan] replicas must be >= 0, got ", plan.replicas);
  REWARD_TUNER_CHECK(plan.replicas == 0 || !plan.jumps,
                     "[StepPlan] replicas noise a finished sample again, but this plan stops early at step ",
                     plan.last);
  REWARD_TUNER_CHECK(!plan.trained.empty() || plan.replicas > 0,
                     "[StepPlan] expected at least one trained step, got none");
  REWARD_TUNER_CHECK(
      std::adjacent_find(plan.trained.begin(), plan.trained.end(), std::greater_equal<>()) == plan.trained.end(),
      "[StepPlan] trained steps must ascend without repetition, got ", plan);
  REWARD_TUNER_CHECK(plan.trained.empty() || (plan.trained.front() >= 0 && plan.trained.back() <= plan.last),
                     "[StepPlan] trained steps must lie in 0..last, got ", plan);
  REWARD_TUNER_CHECK(plan.weights.empty() || plan.weights.size() == plan.trained.size(), "[StepPlan] expected ",
                     plan.trained.size(), " weights or none, got ", plan.weights.size());
}

}  // namespace reward_tuner
