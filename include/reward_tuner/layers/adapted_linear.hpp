// A linear layer and its low-rank adapter as one autograd operator.
#pragma once
#include <optional>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// x (W + scale * up down)^T + b, without forming the sum.  x [...,in], weight [out,in], down [r,in], up [out,r] ->
/// [...,out]. The factors may be of a higher precision than x: products run in the layer's type, gradients come back in
/// the factors'. A weight or bias that requires a gradient gets it, by the ordinary composition.
Tensor adapted_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias, const Tensor& down,
                      const Tensor& up, double scale);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/adapted_linear.ipp>
#endif
