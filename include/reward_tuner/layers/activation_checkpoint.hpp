// Activation checkpointing: a part of a network keeps its inputs instead of its activations and runs again in the
// backward pass.
#pragma once
#include <torch/autograd.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <functional>

namespace reward_tuner {

using torch::autograd::variable_list;

/// Everything below `module` that gets a gradient: its parameters and the factors of the adapters on its layers.
variable_list trainable_tensors(const torch::nn::Module& module);

/// function(inputs) without storing intermediate results: only `inputs` are kept, and the backward pass calls
/// `function` once more. `captured` are the trainable tensors that `function` uses in addition to its inputs (see
/// trainable_tensors); tensors left out get no gradient. `function` must be deterministic and give the same number of
/// outputs each time. Without gradient mode, or with nothing that needs a gradient, it is an ordinary call. Chen et al.
/// 2016, "Training Deep Nets with Sublinear Memory Cost". Cost: one more forward.
variable_list checkpointed(std::function<variable_list(const variable_list&)> function, variable_list inputs,
                           const variable_list& captured);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/activation_checkpoint.ipp>
#endif
