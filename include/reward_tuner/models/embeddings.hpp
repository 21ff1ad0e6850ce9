// Time conditioning of the UNet: the sinusoidal projection of a timestep and the small network behind it.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/silu.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <memory>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Sines and cosines of a timestep at geometrically spaced frequencies (Vaswani et al. 2017, section 3.5, as in
/// diffusers). timesteps [N] of any number type -> [N,width] float32. The result is float32 also for networks in
/// double, as in diffusers, so that both libraries see the same numbers. `cosine_first` is diffusers' flip_sin_to_cos,
/// `frequency_shift` its freq_shift.
inline Tensor timestep_projection(const Tensor& timesteps, std::int64_t width, bool cosine_first,
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

/// Linear, SiLU, Linear.  [N,in] -> [N,out]
class TimestepEmbedding : public torch::nn::Module {
 public:
  TimestepEmbedding(std::int64_t in, std::int64_t out) {
    linear_1_ = register_module("linear_1", std::make_shared<Linear>(in, out));
    linear_2_ = register_module("linear_2", std::make_shared<Linear>(out, out));
  }
  Tensor forward(const Tensor& x) const { return linear_2_->forward(at::silu(linear_1_->forward(x))); }

 private:
  std::shared_ptr<Linear> linear_1_, linear_2_;
};

}  // namespace reward_tuner
