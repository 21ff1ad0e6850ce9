// The gradient of an objective on log-probabilities: trained transitions are evaluated again, in batches of rows that
// may mix images and steps.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/shared_work.hpp>
#include <reward_tuner/engine/trained_rows.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/layers/fused_ops.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// An image at a trained step.
struct PolicyRow {
  std::int64_t sample = 0;
  int step = 0;
  double advantage = 0;
  double weight = 1;  ///< of its loss; of a pair that of the preferred row
};

/// Sums over rows.
struct PolicyRowSums {
  std::int64_t rows = 0;
  double ratio = 0;              ///< of ratio - 1
  double squared_ratio = 0;      ///< of (ratio - 1)^2
  double clipped_low = 0;        ///< rows whose ratio is below the objective's clip range
  double clipped_high = 0;       ///< rows whose ratio is above it
  double absolute_change = 0;    ///< of |lp - lp_old|
  double squared_change = 0;     ///< of 0.5*(lp - lp_old)^2, an estimate of the divergence from the sampling policy
  double squared_cotangent = 0;  ///< of the squared norm of dL/d(guided output)

  void add(const PolicyRowSums& other) {
    rows += other.rows;
    ratio += other.ratio;
    squared_ratio += other.squared_ratio;
    clipped_low += other.clipped_low;
    clipped_high += other.clipped_high;
    absolute_change += other.absolute_change;
    squared_change += other.squared_change;
    squared_cotangent += other.squared_cotangent;
  }
};

/// What a batch of rows measured.
struct PolicyRowsResult {
  double loss = 0;                          ///< the objective's share of the loss, summed over the rows
  double regularizer = 0;                   ///< the regularizer's, its weight included
  double ratio_deviation = 0;               ///< largest |ratio - 1|
  double largest_change = 0;                ///< largest |lp - lp_old|
  std::map<int, PolicyRowSums> steps = {};  ///< of the rows at each step

  void add(const PolicyRowsResult& other) {
    loss += other.loss;
    regularizer += other.regularizer;
    ratio_deviation = std::max(ratio_deviation, other.ratio_deviation);
    largest_change = std::max(largest_change, other.largest_change);
    for (const auto& [k, sums] : other.steps) steps[k].add(sums);
  }
  PolicyRowSums all() const {
    PolicyRowSums out;
    for (const auto& [k, sums] : steps) out.add(sums);
    return out;
  }
};

/// What batches of rows measured, on the device that computed it: batches follow one another without waiting for it.
class PolicyRowsMeasured {
 public:
  PolicyRowsMeasured() = default;
  /// loss, regularizer: double 0-d, undefined for 0. of_rows: lp - lp_old, ratio - 1 and the squared norm of the
  /// cotangent, double [n] of `rows` each.
  PolicyRowsMeasured(const std::vector<PolicyRow>& rows, std::optional<double> clip, const Tensor& loss,
                     const Tensor& regularizer, const std::vector<Tensor>& of_rows)
      : clip_(clip) {
    for (const PolicyRow& row : rows) steps_.push_back(row.step);
    rows_.push_back(at::stack(of_rows));                                                             // [3,n]
    sums_.push_back(at::stack({loss, regularizer.defined() ? regularizer : at::zeros_like(loss)}));  // [2]
  }
  void add(const PolicyRowsMeasured& other) {
    clip_ = other.clip_;
    steps_.insert(steps_.end(), other.steps_.begin(), other.steps_.end());
    rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
    sums_.insert(sums_.end(), other.sums_.begin(), other.sums_.end());
  }
  /// Those of all ranks, in their order.
  PolicyRowsMeasured of_all_ranks(const Ranks& ranks, c10::Device device) const {
    if (ranks.alone()) return *this;
    Parcel own;
    own.add_integer(static_cast<std::int64_t>(rows_.size()));
    if (!rows_.empty()) {
      own.add_integer(clip_ ? 1 : 0);
      own.add_number(clip_.value_or(0));
      own.add_tensor(at::tensor(steps_, at::kInt));
      own.add_tensor(at::cat(rows_, 1));
      own.add_tensor(at::cat(sums_));
    }
    PolicyRowsMeasured out;
    for (Parcel& one : ranks.gather("measured rows", own)) {
      if (one.integer() == 0) continue;
      const bool clips = one.integer() == 1;
      const double clip = one.number();
      if (clips) out.clip_ = clip;
      const Tensor steps = one.tensor(at::kCPU);  // int32 [n]
      out.steps_.insert(out.steps_.end(), steps.const_data_ptr<int>(), steps.const_data_ptr<int>() + steps.numel());
      out.rows_.push_back(one.tensor(device));
      out.sums_.push_back(one.tensor(device));
    }
    return out;
  }
  /// Waits for the device.
  PolicyRowsResult read() const {
    PolicyRowsResult out;
    if (rows_.empty()) return out;
    const auto n = static_cast<std::int64_t>(steps_.size());
    const Tensor all = at::cat({at::cat(rows_, 1).flatten(), at::cat(sums_)}).cpu();  // [3*n+2*batches]
    const double *change = all.const_data_ptr<double>(), *ratio = change + n, *squares = ratio + n, *sums = squares + n;
    for (; sums != all.const_data_ptr<double>() + all.numel(); sums += 2) {
      out.loss += sums[0];
      out.regularizer += sums[1];
    }
    for (const int step : steps_) {
      out.ratio_deviation = std::max(out.ratio_deviation, std::abs(*ratio));
      out.largest_change = std::max(out.largest_change, std::abs(*change));
      out.steps[step].add({.rows = 1,
                           .ratio = *ratio,
                           .squared_ratio = *ratio * *ratio,
                           .clipped_low = clip_ && *ratio < -*clip_ ? 1.0 : 0.0,
                           .clipped_high = clip_ && *ratio > *clip_ ? 1.0 : 0.0,
                           .absolute_change = std::abs(*change),
                           .squared_change = 0.5 * *change * *change,
                           .squared_cotangent = *squares});
      ++change, ++ratio, ++squares;
    }
    return out;
  }

 private:
  std::optional<double> clip_;
  std::vector<int> steps_;           // of all rows
  std::vector<Tensor> rows_, sums_;  // of each batch [3,n], [2]; of several batches of another rank [3,n], [2*batches]
};

/// The rows' inputs, gathered from the stored transitions, under a condition of their samples.
inline RowInputs gather_rows(const Transitions& t, const Condition& condition, const std::vector<PolicyRow>& rows) {
  std::vector<Tensor> latents;
  std::vector<std::int64_t> samples;
  std::vector<double> times, guidance;
  for (const PolicyRow& row : rows) {
    latents.push_back(t.latent(row.step)[row.sample]);
    samples.push_back(row.sample);
    times.push_back(t.setup.schedule.timestep(row.step));
    guidance.push_back(t.setup.guidance(row.step));
  }
  const Tensor index = at::tensor(samples, at::kLong);  // [n]
  return {at::stack(latents), times, guidance, condition.positive.select(index), condition.negative.select(index)};
}

namespace detail {

/// The rows' log-probabilities under given guided outputs [n,C,h,w].  -> double [n]
inline Tensor log_probs_of_rows(const Transitions& t, const std::vector<PolicyRow>& rows, const Tensor& latents,
                                const Tensor& guided, LogProbReduction reduction) {
  std::vector<Tensor> next;
  std::vector<int> steps;
  for (const PolicyRow& row : rows) {
    next.push_back(t.latent(row.step + 1)[row.sample]);
    steps.push_back(row.step);
  }
  return transition_log_probs(t.setup.schedule, steps, latents, guided, at::stack(next), reduction);
}

}  // namespace detail

/// How the rows of one optimizer step are weighed.
struct PolicyBackwardOptions {
  double share = 1;             ///< factor on every row's loss: 1 / rows of the optimizer step
  double reference_weight = 0;  ///< factor on the mean over the rows of (raw - reference)^2; 0: none
};

/// Adds the gradient of share * sum_rows weight * objective loss (+ the pull to the untuned network, a mean over the
/// rows) to the parameters' gradients: one network forward and backward for all rows. The cotangent of each row's
/// network output comes from autograd over the network-free part, log-density and objective.
template <DiffusionPipeline Pipeline, ObjectivePolicy Objective>
PolicyRowsMeasured policy_backward(Pipeline& pipeline, const Transitions& t, const std::vector<PolicyRow>& rows,
                                   const Objective& objective, const PolicyBackwardOptions& options,
                                   NetworkCounts& counts) {
  const torch::AutoGradMode grad(true);  // the condition may be trained
  const StageScope stage(Stage::kBackward);
  const Condition& condition = t.setup.condition;
  const RowInputs inputs = gather_rows(t, condition, rows);
  const LogProbReduction reduction = objective.options().round.reduction;
  RowCall reference;  // of the untuned network
  const bool compared = ObjectiveTraits<Objective>::needs_reference(objective);
  if (options.reference_weight > 0 || compared)
    reference = reference_call(pipeline, condition.untuned ? gather_rows(t, *condition.untuned, rows) : inputs, counts);
  const RowCall call = row_call(pipeline, inputs, counts);
  const Tensor guided = call.guided.detach().requires_grad_();  // [n,C,h,w] leaf
  std::vector<Tensor> old;
  std::vector<double> advantages, weights;
  for (const PolicyRow& row : rows) {
    old.push_back(t.log_prob(row.step)[row.sample]);
    advantages.push_back(row.advantage);
    weights.push_back(row.weight);
  }
  PolicyRows view{.log_probs = detail::log_probs_of_rows(t, rows, inputs.latents, guided, reduction),
                  .old_log_probs = at::stack(old),
                  .advantages = beside(guided, at::tensor(advantages, at::kDouble))};
  if (compared) {
    view.reference_log_probs = detail::log_probs_of_rows(t, rows, inputs.latents, reference.guided, reduction);
    view.drift = (guided - reference.guided).to(at::kDouble).square().flatten(1).mean(1);  // [n]
  }
  const Tensor losses = objective.losses(view);  // [n], of pairs [n/2]
  const Tensor weight = beside(guided, at::tensor(weights, at::kDouble)).narrow(0, 0, losses.size(0));
  const Tensor loss = options.share * (weight * losses).sum();  // 0-d
  const Tensor cotangent = torch::autograd::grad({loss}, {guided}, {}, /*retain_graph=*/false, /*create_graph=*/false,
                                                 /*allow_unused=*/false)[0];             // [n,C,h,w]
  const Tensor change = (view.log_probs - view.old_log_probs).detach();                  // [n]
  const Tensor ratio = change.exp() - 1;                                                 // [n]
  const Tensor squares = cotangent.to(at::kDouble).square().flatten(1).sum(1);           // [n]
  const double each = (ObjectiveTraits<Objective>::kPairs ? 0.5 : 1.0) * options.share;  // a pair is two rows
  const Tensor pull =
      rows_backward(call, cotangent, {.weight = each * options.reference_weight, .reference = reference.raw}, counts);
  return {rows, ObjectiveTraits<Objective>::clip(objective), loss.detach(), pull, {change, ratio, squares}};
}

/// Takes the stored log-probabilities again, under the present weights and the set-up `target`: the same rollout with
/// another condition and guidance (RatioTarget::kPlain), by the operators that a differentiated call uses. Each rank
/// takes those of some of the images.
template <DiffusionPipeline Pipeline>
void retarget(Pipeline& pipeline, Transitions& t, RolloutSetup target, std::int64_t rows_at_once,
              LogProbReduction reduction, const Ranks& ranks, NetworkCounts& counts) {
  const torch::NoGradGuard no_grad;
  const OperatorsAlone as_trained;
  const StageScope stage(Stage::kRollout);
  t.setup = std::move(target);
  const auto [first, last] = ranks.own(t.size(), rows_at_once);
  std::vector<Tensor> all;  // of each step
  for (const int k : t.steps()) {
    std::vector<Tensor> parts;
    for (std::int64_t begin = first; begin < last; begin += rows_at_once) {
      std::vector<PolicyRow> rows;
      for (std::int64_t i = begin; i < std::min(begin + rows_at_once, t.size()); ++i) rows.push_back({i, k});
      const RowCall call = row_call(pipeline, gather_rows(t, t.setup.condition, rows), counts);
      parts.push_back(detail::log_probs_of_rows(t, rows, call.rows.latents, call.guided, reduction));
    }
    all.push_back(detail::joined(parts));
  }
  all = of_all_ranks(ranks, "log-probabilities", all, t.clean.device());
  for (std::size_t i = 0; i < all.size(); ++i) t.log_prob(t.steps()[i]) = all[i];
}

}  // namespace reward_tuner
