// Time conditioning of the UNet: the sinusoidal projection of a timestep and the small network behind it.
#pragma once
#include <ATen/ops/silu.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Sines and cosines of a timestep at geometrically spaced frequencies (Vaswani et al. 2017, section 3.5, as in
/// diffusers). timesteps [N] of any number type -> [N,width] float32. The result is float32 also for networks in
/// double, as in diffusers, so that both libraries see the same numbers. `cosine_first` is diffusers' flip_sin_to_cos,
/// `frequency_shift` its freq_shift.
Tensor timestep_projection(const Tensor& timesteps, std::int64_t width, bool cosine_first, double frequency_shift);

/// Linear, SiLU, Linear.  [N,in] -> [N,out]
class TimestepEmbedding : public torch::nn::Module {
 public:
  TimestepEmbedding(std::int64_t in, std::int64_t out);
  Tensor forward(const Tensor& x) const { return linear_2_->forward(at::silu(linear_1_->forward(x))); }

 private:
  std::shared_ptr<Linear> linear_1_, linear_2_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/embeddings.ipp>
#endif
