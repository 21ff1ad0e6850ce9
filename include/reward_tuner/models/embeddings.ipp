// Definitions of embeddings.hpp.
#pragma once
#include <reward_tuner/models/embeddings.hpp>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>

#include <cmath>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Tensor timestep_projection(const Tensor& timesteps, std::int64_t width, bool cosine_first,
                                               double frequency_shift) {
  REWARD_TUNER_CHECK(timesteps.dim() == 1, "[timestep_projection] expected timesteps of shape [N], got ",
                     timesteps.sizes());
  const std::int64_t half = width / 2;
  const auto options = at::TensorOptions().dtype(at::kFloat).device(timesteps.device());
  // [half]
  const Tensor exponent =
      -std::log(10000.0) * at::arange(half, options) / (static_cast<double>(half) - frequency_shift);
  const Tensor angle = timesteps.unsqueeze(1).to(at::kFloat) * exponent.exp().unsqueeze(0);  // [N,half]
  // [N,2*half]
  Tensor waves = cosine_first ? at::cat({angle.cos(), angle.sin()}, -1) : at::cat({angle.sin(), angle.cos()}, -1);
  if (width % 2 == 1) waves = at::constant_pad_nd(waves, {0, 1});  // [N,width]
  return waves;
}

REWARD_TUNER_INLINE TimestepEmbedding::TimestepEmbedding(std::int64_t in, std::int64_t out) {
  linear_1_ = register_module("linear_1", std::make_shared<Linear>(in, out));
  linear_2_ = register_module("linear_2", std::make_shared<Linear>(out, out));
}

}  // namespace reward_tuner
