// Group normalization, SiLU and convolution in one, strip by strip: what a large image's decoder is made of, in little
// memory.
#pragma once
#include <cstdint>
#include <optional>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The frozen weights of the three.
struct NormalizedConv {
  Tensor norm_weight, norm_bias;  ///< [in]
  std::int64_t groups = 32;       ///< of the normalization
  double eps = 1e-5;              ///< of the normalization
  Tensor weight;                  ///< [out,in,3,3], applied with padding 1
  std::optional<Tensor> bias;     ///< [out]
};

/// conv(silu(group_norm(x))).  x [B,in,H,W] -> [B,out,H,W]
/// Rows are processed a few at a time, about `strip` numbers, with the statistics of the whole image and with their
/// neighbor rows: the result is the ordinary one up to rounding, and there are no seams.
/// Gradient: to x, likewise strip by strip and exact. Kept for it is x alone, where the ordinary operators keep the
/// normalized x too and pass three more tensors of that size between them.
/// Cost: normalization and SiLU once more in the backward.
/// Errors: weights that want a gradient.
Tensor normalized_conv2d(const Tensor& x, const NormalizedConv& layer, std::int64_t strip);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/normalized_conv.ipp>
#endif
