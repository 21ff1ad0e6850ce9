// One guided network call for rows that need nothing in common: each a sample with its own timestep, guidance and
// condition. A rollout's step is the special case in which all rows share timestep and guidance.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/engine/rollout_setup.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

namespace detail {

template <class T>
bool all_equal(const std::vector<T>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

}  // namespace detail

/// The network's input for n rows. What all rows share, as in a rollout's step, is never copied from the host.
struct RowInputs {
  Tensor latents;                   // [n,C,h,w]
  std::vector<double> timesteps;    // [n]
  std::vector<double> guidance;     // [n] scale w of classifier-free guidance; 1 and less: the condition alone
  Conditioning positive, negative;  // n samples each
  std::int64_t batches = 1;         // how many calls they count as: a batch at one step each, where they are several

  std::int64_t size() const { return latents.size(0); }
  /// [n] on the latents' device, int64; double where some lie between training steps.
  Tensor times() const {
    const bool whole = std::all_of(timesteps.begin(), timesteps.end(), [](double t) { return t == std::floor(t); });
    const auto dtype = whole ? at::kLong : at::kDouble;
    if (detail::all_equal(timesteps))
      return at::full({size()}, timesteps[0], at::TensorOptions().dtype(dtype).device(latents.device()));
    return beside(latents, at::tensor(timesteps, at::kDouble).to(dtype));
  }
  /// Whether some row needs both halves of the guidance.
  bool guided() const {
    return std::any_of(guidance.begin(), guidance.end(), [](double w) { return w > 1.0; });
  }
  /// Rows that need both halves of the guidance; the others (w at most 1) the condition alone. int64 [d] on the CPU
  Tensor guided_rows() const {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < guidance.size(); ++i)
      if (guidance[i] > 1.0) rows.push_back(static_cast<std::int64_t>(i));
    return at::tensor(rows, at::kLong);
  }
  /// `factor(w)` of every row, at least that of 1, to multiply a tensor from the right: a column in the latents' dtype,
  /// or one number where all rows share w, which is not rounded to that dtype.  [n,1,1,1] or 0-d on the CPU
  template <class F>
  Tensor factors(F factor) const {
    if (detail::all_equal(guidance)) return at::scalar_tensor(factor(std::max(guidance[0], 1.0)), at::kDouble);
    std::vector<double> values;
    for (const double w : guidance) values.push_back(factor(std::max(w, 1.0)));
    return beside(latents, at::tensor(values, at::kDouble).view({-1, 1, 1, 1}).to(latents.scalar_type()));
  }
};

/// The rows of a rollout's samples at step k, under a condition of theirs.  latents [B,C,h,w]
inline RowInputs step_rows(const RolloutSetup& setup, const Condition& condition, int k, const Tensor& latents) {
  const auto rows = static_cast<std::size_t>(latents.size(0));
  return {latents, std::vector<double>(rows, setup.schedule.timestep(k)), std::vector<double>(rows, setup.guidance(k)),
          condition.positive, condition.negative};
}
/// The same under the rollout's own.
inline RowInputs step_rows(const RolloutSetup& setup, int k, const Tensor& latents) {
  return step_rows(setup, setup.condition, k, latents);
}

/// The rows of all parts, one part after another.
inline RowInputs concatenate(const std::vector<RowInputs>& parts) {
  if (parts.size() == 1) return parts[0];
  RowInputs all;
  all.batches = 0;
  const bool guided = std::any_of(parts.begin(), parts.end(), [](const RowInputs& part) { return part.guided(); });
  std::vector<Tensor> latents;
  std::vector<Conditioning> positive, negative;
  for (const RowInputs& part : parts) {
    latents.push_back(part.latents);
    all.timesteps.insert(all.timesteps.end(), part.timesteps.begin(), part.timesteps.end());
    all.guidance.insert(all.guidance.end(), part.guidance.begin(), part.guidance.end());
    positive.push_back(part.positive);
    if (guided) negative.push_back(part.negative);
    all.batches += part.batches;
  }
  all.latents = at::cat(latents);
  all.positive = concatenate(positive);
  if (guided) all.negative = concatenate(negative);
  return all;
}

/// Rows with what the network returned for them. The raw rows are the unconditional halves of the guided rows, then
/// the conditional halves of all: [uncond; cond] where every row is guided, the condition alone where none is.
struct RowCall {
  RowInputs rows;
  Tensor raw;  // [d+n,C,h,w]
  // [n,C,h,w] u + w*(c - u) where w > 1, else c, as diffusers has it   (Ho & Salimans 2022, Eq. 6)
  Tensor guided;
};

/// Evaluates all rows in one network call.
template <DiffusionPipeline Pipeline>
RowCall row_call(Pipeline& pipeline, RowInputs rows, NetworkCounts& counts) {
  counts.forwards += rows.batches;
  counts.forward_samples += rows.size();
  const Tensor times = rows.times();  // [n]
  if (!rows.guided()) {
    const Tensor raw = pipeline.predict(rows.latents, times, rows.positive);  // [n,C,h,w]
    return {std::move(rows), raw, raw};
  }
  const Tensor both = rows.guided_rows();  // [d]
  const bool all = both.numel() == rows.size();
  const Tensor index = all ? Tensor() : beside(rows.latents, both);  // [d]
  const Tensor raw =
      pipeline.predict(at::cat({all ? rows.latents : rows.latents.index_select(0, index), rows.latents}),
                       at::cat({all ? times : times.index_select(0, index), times}),
                       concatenate({all ? rows.negative : rows.negative.select(both), rows.positive}));  // [d+n,C,h,w]
  const Tensor u = raw.narrow(0, 0, both.numel()), c = raw.narrow(0, both.numel(), rows.size());
  const Tensor w = rows.factors([](double scale) { return scale; });  // [n,1,1,1] or 0-d
  if (all) return {std::move(rows), raw, u + (c - u) * w};
  const Tensor guided = u + (c.index_select(0, index) - u) * w.index_select(0, index);  // [d,C,h,w]
  return {std::move(rows), raw, c.index_copy(0, index, guided)};
}

/// dL/draw from dL/dguided = Q [n,C,h,w]: (1-w)*Q for the unconditional halves, w*Q for the conditional ones, which is
/// Q where w is at most 1.  -> [d+n,C,h,w]
inline Tensor split_rows(const Tensor& cotangent, const RowInputs& rows) {
  if (!rows.guided()) return cotangent;
  const Tensor both = rows.guided_rows();                                                   // [d]
  const Tensor unconditional = cotangent * rows.factors([](double w) { return 1.0 - w; });  // [n,C,h,w]
  return at::cat({both.numel() == rows.size() ? unconditional : unconditional.index_select(0, beside(cotangent, both)),
                  cotangent * rows.factors([](double w) { return w; })});
}

}  // namespace reward_tuner
