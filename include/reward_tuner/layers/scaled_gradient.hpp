// A tensor as it is, whose gradient is multiplied by a number on its way back.
#pragma once
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// x, with dL/dx = factor * dL/dy. A power of two changes no digit. x itself where the factor is 1 or no graph is
/// recorded.
Tensor scaled_gradient(const Tensor& x, double factor);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/scaled_gradient.ipp>
#endif
