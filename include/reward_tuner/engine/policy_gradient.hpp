// The gradient of an objective on log-probabilities: trained transitions are evaluated again, in batches of rows that
// may mix images and steps.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/objectives/policy_rows.hpp>

namespace reward_tuner {

/// An image at a trained step.
struct PolicyRow {
  std::int64_t sample = 0;
  int step = 0;
  double advantage = 0;
};

/// What a batch of rows measured. Sums over the rows unless said otherwise.
struct PolicyRowsResult {
  double loss = 0;             ///< the objective's share of the loss
  double regularizer = 0;      ///< the regularizer's, its weight included
  double ratio_deviation = 0;  ///< largest |ratio - 1|
  double clipped = 0;          ///< rows whose ratio is outside the objective's clip range
  double squared_change = 0;   ///< of 0.5*(lp - lp_old)^2, an estimate of the divergence from the sampling policy
  std::int64_t rows = 0;

  void add(const PolicyRowsResult& other) {
    loss += other.loss, regularizer += other.regularizer, clipped += other.clipped,
        squared_change += other.squared_change, rows += other.rows;
    ratio_deviation = std::max(ratio_deviation, other.ratio_deviation);
  }
};

/// The rows' inputs, gathered from the stored transitions.
inline RowInputs gather_rows(const Transitions& t, const std::vector<PolicyRow>& rows) {
  std::vector<Tensor> latents;
  std::vector<std::int64_t> samples, times;
  std::vector<double> guidance;
  for (const PolicyRow& row : rows) {
    latents.push_back(t.latents[static_cast<std::size_t>(row.step)][row.sample]);
    samples.push_back(row.sample);
    times.push_back(t.schedule.timestep(row.step));
    guidance.push_back(t.guidance[static_cast<std::size_t>(row.step)]);
  }
  return {at::stack(latents), times, guidance, t.condition.select(at::tensor(samples, at::kLong))};
}

namespace detail {

/// The rows' log-probabilities under given guided outputs [n,C,h,w].  -> double [n]
inline Tensor log_probs_of_rows(const Transitions& t, const std::vector<PolicyRow>& rows, const Tensor& latents,
                                const Tensor& guided, LogProbReduction reduction) {
  std::vector<Tensor> next;
  std::vector<int> steps;
  for (const PolicyRow& row : rows) {
    next.push_back(t.latents[static_cast<std::size_t>(row.step) + 1][row.sample]);
    steps.push_back(row.step);
  }
  return transition_log_probs(t.schedule, steps, latents, guided, at::stack(next), reduction);
}

/// Adds d(weight * mean over rows and elements of (raw - reference)^2)/draw to `cotangent`; the two halves of a guided
/// row weigh half each.
inline double add_regularizer(Tensor& cotangent, const Tensor& raw, const Tensor& reference, const RowInputs& inputs,
                              double weight) {
  const Tensor both = inputs.guided_rows().to(raw.device());  // [d]
  const Tensor difference = raw.detach() - reference;         // [d+n,C,h,w]
  // [d+n,1,1,1]
  Tensor share = at::full({raw.size(0), 1, 1, 1}, weight / static_cast<double>(difference[0].numel()),
                          raw.options().requires_grad(false));
  if (both.numel() > 0) {
    share.narrow(0, 0, both.numel()).mul_(0.5);
    share.narrow(0, both.numel(), inputs.latents.size(0))
        .index_fill_(0, both, 0.5 * weight / static_cast<double>(difference[0].numel()));
  }
  cotangent = cotangent + 2.0 * share * difference;
  return (share * difference.square()).sum().item<double>();
}

}  // namespace detail

/// Adds the gradient of share * sum_rows objective loss (+ the regularizer, a mean over the rows) to the parameters'
/// gradients: one network forward and backward for all rows. The cotangent of each row's network output comes from
/// autograd over the network-free part, log-density and objective.
template <DiffusionPipeline Pipeline, ObjectivePolicy Objective, RegularizerPolicy Regularizer>
PolicyRowsResult policy_backward(Pipeline& pipeline, const Transitions& t, const std::vector<PolicyRow>& rows,
                                 const Objective& objective, const Regularizer& regularizer, double share,
                                 NetworkCounts& counts) {
  const RowInputs inputs = gather_rows(t, rows);
  const LogProbReduction reduction = objective.options().round.reduction;
  RowOutputs reference;  // of the untuned network
  const bool regularized = Regularizer::kNeedsReference && regularizer.weight() > 0;
  const bool compared = ObjectiveTraits<Objective>::needs_reference(objective);
  if (regularized || compared) {
    const torch::NoGradGuard no_grad;
    const auto scope = pipeline.reference_scope();
    reference = row_call(pipeline, inputs, counts);
  }
  const torch::AutoGradMode grad(true);
  const RowOutputs call = row_call(pipeline, inputs, counts);
  REWARD_TUNER_CHECK(call.raw.requires_grad(),
                     "[RewardTuner] the network's output does not depend on anything trainable: attach a LoRA, or let "
                     "parameters require gradients");
  const Tensor guided = call.guided.detach().requires_grad_();  // [n,C,h,w] leaf
  std::vector<Tensor> old;
  std::vector<double> advantages;
  for (const PolicyRow& row : rows) {
    old.push_back(t.log_probs[static_cast<std::size_t>(row.step)][row.sample]);
    advantages.push_back(row.advantage);
  }
  PolicyRows view{.log_probs = detail::log_probs_of_rows(t, rows, inputs.latents, guided, reduction),
                  .old_log_probs = at::stack(old),
                  .advantages = at::tensor(advantages, at::kDouble).to(guided.device())};
  if (compared) {
    view.reference_log_probs = detail::log_probs_of_rows(t, rows, inputs.latents, reference.guided, reduction);
    view.drift = (guided - reference.guided).to(at::kDouble).square().flatten(1).mean(1);  // [n]
  }
  const Tensor loss = share * objective.losses(view).sum();  // 0-d
  // [d+n,C,h,w]
  Tensor cotangent = split_rows(torch::autograd::grad({loss}, {guided}, {}, /*retain_graph=*/false,
                                                      /*create_graph=*/false, /*allow_unused=*/false)[0],
                                inputs);
  PolicyRowsResult result{.loss = loss.template item<double>(), .rows = static_cast<std::int64_t>(rows.size())};
  {
    const torch::NoGradGuard no_grad;
    if (regularized)
      result.regularizer =
          detail::add_regularizer(cotangent, call.raw, reference.raw, inputs,
                                  (ObjectiveTraits<Objective>::kPairs ? 0.5 : 1.0) * share * regularizer.weight());
    const Tensor change = (view.log_probs - view.old_log_probs).detach();  // [n]
    const Tensor deviation = (change.exp() - 1).abs();                     // [n]
    result.ratio_deviation = deviation.max().template item<double>();
    result.squared_change = 0.5 * change.square().sum().template item<double>();
    if (const auto clip = ObjectiveTraits<Objective>::clip(objective))
      result.clipped = (deviation > *clip).sum().template item<double>();
  }
  ++counts.backwards;
  counts.backward_samples += static_cast<std::int64_t>(rows.size());
  torch::autograd::backward({call.raw}, {cotangent});
  return result;
}

/// The stored log-probabilities again, under the present weights and another condition and guidance
/// (RatioTarget::kPlain).
template <DiffusionPipeline Pipeline>
void retarget(Pipeline& pipeline, Transitions& t, Condition condition, std::vector<double> guidance,
              std::int64_t rows_at_once, LogProbReduction reduction, NetworkCounts& counts) {
  const torch::NoGradGuard no_grad;
  t.condition = std::move(condition);
  t.guidance = std::move(guidance);
  for (const int k : t.steps) {
    std::vector<Tensor> parts;
    for (std::int64_t begin = 0; begin < t.size(); begin += rows_at_once) {
      std::vector<PolicyRow> rows;
      for (std::int64_t i = begin; i < std::min(begin + rows_at_once, t.size()); ++i) rows.push_back({i, k});
      const RowInputs inputs = gather_rows(t, rows);
      parts.push_back(
          detail::log_probs_of_rows(t, rows, inputs.latents, row_call(pipeline, inputs, counts).guided, reduction));
    }
    t.log_probs[static_cast<std::size_t>(k)] = detail::joined(parts);
  }
}

}  // namespace reward_tuner
