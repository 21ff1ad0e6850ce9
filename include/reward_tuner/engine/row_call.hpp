// One network call for rows that have nothing in common: each a sample with its own timestep, guidance and condition.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include <reward_tuner/engine/pipeline.hpp>

namespace reward_tuner {

/// n rows as the network is to see them.
struct RowInputs {
  Tensor latents;                       // [n,C,h,w]
  std::vector<std::int64_t> timesteps;  // [n]
  std::vector<double> guidance;         // [n]
  Condition condition;                  // n samples

  /// Rows that need both halves of the guidance; the others (guidance exactly 1) the condition alone. int64 [d] on the
  /// CPU.
  Tensor guided_rows() const {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i < guidance.size(); ++i)
      if (guidance[i] != 1.0) rows.push_back(static_cast<std::int64_t>(i));
    return at::tensor(rows, at::kLong);
  }
  /// The scales of all rows, or of some, as a column in the latents' dtype. [n,1,1,1]
  Tensor scales() const {
    return at::tensor(guidance, at::kDouble).view({-1, 1, 1, 1}).to(latents.options().requires_grad(false));
  }
};

/// What the rows' call returned. The raw rows are the unconditional halves of the guided rows, then the conditional
/// halves of all.
struct RowOutputs {
  Tensor raw;     // [d+n,C,h,w]
  Tensor guided;  // [n,C,h,w] u + w*(c - u)
};

/// Evaluates all rows in one call; counts it as one. Equal arithmetic to `guided_call`, so that a replayed row equals
/// its rollout up to the batch's rounding.
template <DiffusionPipeline Pipeline>
RowOutputs row_call(Pipeline& pipeline, const RowInputs& rows, NetworkCounts& counts) {
  ++counts.forwards;
  counts.forward_samples += rows.latents.size(0);
  const Tensor times = at::tensor(rows.timesteps, at::kLong).to(rows.latents.device());  // [n]
  const Tensor both = rows.guided_rows();                                                // [d]
  if (both.numel() == 0) {
    const Tensor raw = pipeline.predict(rows.latents, times, rows.condition.positive);
    return {raw, raw};
  }
  const Tensor index = both.to(rows.latents.device());  // [d]
  const bool all = both.numel() == rows.latents.size(0);
  const Tensor raw = pipeline.predict(
      at::cat({all ? rows.latents : rows.latents.index_select(0, index), rows.latents}),
      at::cat({times.index_select(0, index), times}),
      // [d+n,C,h,w]
      concatenate({all ? rows.condition.negative : rows.condition.negative.select(both), rows.condition.positive}));
  const Tensor u = raw.narrow(0, 0, both.numel()), c = raw.narrow(0, both.numel(), rows.latents.size(0));
  if (all) return {raw, u + rows.scales() * (c - u)};
  const Tensor of_both = c.index_select(0, index);  // [d,C,h,w]
  return {raw, c.index_copy(0, index, u + rows.scales().index_select(0, index) * (of_both - u))};
}

/// dL/draw from dL/dguided = Q [n,C,h,w]: (1-w)*Q for the unconditional halves, w*Q for the conditional ones. ->
/// [d+n,C,h,w]
inline Tensor split_rows(const Tensor& cotangent, const RowInputs& rows) {
  const Tensor both = rows.guided_rows().to(cotangent.device());  // [d]
  if (both.numel() == 0) return cotangent;
  const Tensor weighted = rows.scales() * cotangent;  // [n,C,h,w] with w = 1 for single rows
  return at::cat({(cotangent - weighted).index_select(0, both), weighted});
}

}  // namespace reward_tuner
