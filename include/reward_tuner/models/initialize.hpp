// Random initial weights for training a network from scratch, the same distributions as PyTorch's layers have by
// default.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// Fills all parameters below `root`: weights and biases of Linear and Conv2d uniform in +-1/sqrt(fan in), norms 1 and
/// 0, Embedding and the vision transformer's class token standard normal. The order of the draws follows the
/// registration of the layers, so one seed gives one network. Throws for a parameter that none of these layers holds.
void initialize(torch::nn::Module& root, Rng& rng);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/initialize.ipp>
#endif
