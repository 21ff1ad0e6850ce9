// Nearest-neighbor upsampling by 2 fused with a 3x3 convolution: the upsampled image is never stored.
#pragma once
#include <optional>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Doubles the pixels of x and convolves with padding 1.  x [B,in,H,W], weight [out,in,3,3] -> [B,out,2H,2W]. On the
/// CPU as one transposed convolution with 4 products an output where the two steps have 9: about half of the time, and
/// the doubled image is never stored. The same numbers up to rounding, and all gradients; with a frozen weight and
/// bias nothing is kept for the backward.
Tensor upsampled_conv2d(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/upsampled_conv.ipp>
#endif
