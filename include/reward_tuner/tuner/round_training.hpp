// The optimizer steps of a round: passes over the kept images, cut into steps and network calls.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/policy_gradient.hpp>
#include <reward_tuner/models/denoising_errors.hpp>
#include <reward_tuner/optim/optimizer_step.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tuner/round.hpp>

namespace reward_tuner {

/// What the training of a round is told beside its objective.
struct RoundTrainingOptions {
  std::int64_t rows = 0;     ///< (image, step) pairs in one network call, >= 1
  double gradient_clip = 0;  ///< as EngineOptions::gradient_clip
};

namespace detail {

/// The units 0..count-1 of one pass, cut into `parts` nearly equal shares, in random order if there is more than one.
inline std::vector<std::vector<std::int64_t>> shares(std::int64_t count, std::int64_t parts, Rng& rng) {
  parts = std::min(parts, count);
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (parts > 1) {
    const Tensor shuffled = rng.permutation(count);
    std::copy_n(shuffled.const_data_ptr<std::int64_t>(), count, order.begin());
  }
  std::vector<std::vector<std::int64_t>> out;
  for (std::int64_t part = 0; part < parts; ++part)
    out.emplace_back(order.begin() + part * count / parts, order.begin() + (part + 1) * count / parts);
  return out;
}

/// Steps and writes the outcome into the report. False if the gradient was not finite: the round ends there.
template <Optimizer Optim>
bool step_round(Optim& optimizer, double gradient_clip, UpdateReport& report) {
  const double norm = guarded_step(optimizer, gradient_clip);
  if (!std::isfinite(norm)) {
    report.gradient_norm = norm;
    report.skip_reason = "the gradient of the parameters is not finite";
    if (report.optimizer_steps > 0)
      report.skip_reason += " at optimizer step " + std::to_string(report.optimizer_steps + 1) +
                            " of the round; the ones before were made";
    return false;
  }
  // a running mean
  report.gradient_norm += (norm - report.gradient_norm) / static_cast<double>(++report.optimizer_steps);
  optimizer.zero_grad();
  return true;
}

}  // namespace detail

/// Trains on log-probabilities. `advantages[step][sample]` is each row's. Loss: the mean over the rows (or pairs) of an
/// optimizer step; `before_step` may add further gradients to each.
template <DiffusionPipeline Pipeline, Optimizer Optim, ObjectivePolicy Objective, RegularizerPolicy Regularizer,
          class BeforeStep>
void train_on_log_probs(Pipeline& pipeline, Optim& optimizer, const Round& round, const Objective& objective,
                        const Regularizer& regularizer, const std::vector<std::vector<double>>& advantages,
                        BeforeStep before_step, const RoundTrainingOptions& options, Rng& rng, NetworkCounts& counts,
                        UpdateReport& report) {
  const RoundOptions& o = objective.options().round;
  const Transitions& t = round.transitions;
  constexpr bool kPairs = ObjectiveTraits<Objective>::kPairs;
  const std::int64_t units = kPairs ? static_cast<std::int64_t>(round.pairs.size()) : t.size();
  constexpr std::int64_t kRowsOfUnit = kPairs ? 2 : 1;
  // (unit, step) -> rows; of pairs the better ones first
  const auto rows_of = [&](const std::vector<std::pair<std::int64_t, int>>& terms) {
    std::vector<PolicyRow> rows;
    for (int half = 0; half < kRowsOfUnit; ++half)
      for (const auto& [unit, step] : terms) {
        std::int64_t sample = unit;
        if constexpr (kPairs)
          sample = half == 0 ? round.pairs[static_cast<std::size_t>(unit)].first
                             : round.pairs[static_cast<std::size_t>(unit)].second;
        rows.push_back({sample, step, advantages[static_cast<std::size_t>(step)][static_cast<std::size_t>(sample)]});
      }
    return rows;
  };
  PolicyRowsResult all, first;
  const auto step = [&](const std::vector<std::int64_t>& chosen, const std::vector<int>& steps) {
    std::vector<std::pair<std::int64_t, int>> terms;
    for (const int k : steps)
      for (const std::int64_t unit : chosen) terms.emplace_back(unit, k);
    const double share = 1.0 / static_cast<double>(terms.size());
    const auto at_once = static_cast<std::size_t>(std::max<std::int64_t>(1, options.rows / kRowsOfUnit));
    PolicyRowsResult result;
    for (std::size_t begin = 0; begin < terms.size(); begin += at_once) {
      const std::size_t end = std::min(terms.size(), begin + at_once);
      result.add(policy_backward(pipeline, t,
                                 rows_of({terms.begin() + static_cast<std::ptrdiff_t>(begin),
                                          terms.begin() + static_cast<std::ptrdiff_t>(end)}),
                                 objective, regularizer, share, counts));
    }
    if (report.optimizer_steps == 0) first = result;
    all.add(result);
    before_step();
    return detail::step_round(optimizer, options.gradient_clip, report);
  };
  bool sound = true;
  std::int64_t steps_wanted = 0;
  for (int epoch = 0; epoch < o.epochs && sound; ++epoch) {
    if (o.step_per_timestep) {
      std::vector<std::int64_t> everyone(static_cast<std::size_t>(units));
      std::iota(everyone.begin(), everyone.end(), 0);
      for (std::size_t i = 0; i < t.steps.size() && sound; ++i, ++steps_wanted) sound = step(everyone, {t.steps[i]});
    } else {
      const auto parts = detail::shares(units, o.updates_per_epoch, rng);
      for (std::size_t i = 0; i < parts.size() && sound; ++i, ++steps_wanted) sound = step(parts[i], t.steps);
    }
  }
  report.regularizer += all.regularizer / static_cast<double>(std::max<std::int64_t>(1, steps_wanted));
  report.loss += (all.loss + all.regularizer) / static_cast<double>(std::max<std::int64_t>(1, steps_wanted));
  report.ratio_deviation = first.ratio_deviation;
  report.clip_fraction = all.clipped / static_cast<double>(all.rows);
  report.policy_change = all.squared_change / static_cast<double>(all.rows);
  if (!round.weights_moved && first.ratio_deviation > o.ratio_tolerance)
    report.warning = "the first ratio of new to old probability should be 1 and is off by " +
                     std::to_string(first.ratio_deviation) +
                     ": rollout and replay disagree (a reduced rollout_dtype, autocast or a model with dropout)";
}

/// Trains on the denoising loss of the kept images, weighted. Loss: the mean over images and noisings of an
/// optimizer step; `before_step` as above.
template <DiffusionPipeline Pipeline, Optimizer Optim, DenoisingObjective Objective, class BeforeStep>
void train_on_denoising(Pipeline& pipeline, Optim& optimizer, const Round& round, const Objective& objective,
                        BeforeStep before_step, const RoundTrainingOptions& options, Rng& rng, NetworkCounts& counts,
                        UpdateReport& report) {
  const RoundOptions& o = objective.options().round;
  const int noisings = ObjectiveTraits<Objective>::noisings(objective);
  const Transitions& t = round.transitions;
  const torch::AutoGradMode grad(true);
  double total = 0;
  bool sound = true;
  std::int64_t steps_wanted = 0;
  for (int epoch = 0; epoch < o.epochs && sound; ++epoch)
    for (const auto& part : detail::shares(t.size(), o.updates_per_epoch, rng)) {
      if (!sound) break;
      std::vector<std::int64_t> rows, times;
      for (int i = 0; i < noisings; ++i)
        for (const std::int64_t sample : part)
          rows.push_back(sample),
              times.push_back(rng.integer(0, pipeline.noise_schedule().config().num_train_steps - 1));
      const auto count = static_cast<std::int64_t>(rows.size());
      std::vector<std::int64_t> shape = t.clean.sizes().vec();
      shape[0] = count;
      // [rows,C,h,w] at once: pieces of a stream depend on where it is cut
      const Tensor noise = rng.normal(shape, t.clean.options());
      for (std::int64_t begin = 0; begin < count; begin += options.rows) {
        const std::int64_t end = std::min(count, begin + options.rows);
        const std::vector<std::int64_t> own(rows.begin() + begin, rows.begin() + end);
        const Tensor index = at::tensor(own, at::kLong);
        const Tensor latents = t.clean.index_select(0, index.to(t.clean.device()));  // [n,C,h,w]
        std::vector<double> weights;
        for (const std::int64_t sample : own) weights.push_back(round.weights[static_cast<std::size_t>(sample)]);
        // [n]
        const Tensor errors = denoising_errors(pipeline, latents, {times.begin() + begin, times.begin() + end},
                                               noise.narrow(0, begin, end - begin), t.condition.select(index).positive);
        const Tensor loss = (at::tensor(weights, at::kDouble).to(errors.device()) * errors.to(at::kDouble)).sum() /
                            static_cast<double>(count);
        ++counts.forwards, ++counts.backwards;
        counts.forward_samples += end - begin, counts.backward_samples += end - begin;
        total += loss.template item<double>();
        torch::autograd::backward({loss}, {});
      }
      ++steps_wanted;
      before_step();
      sound = detail::step_round(optimizer, options.gradient_clip, report);
    }
  report.loss += total / static_cast<double>(std::max<std::int64_t>(1, steps_wanted));
}

}  // namespace reward_tuner
