// The input of an objective on log-probabilities: rows, each one image at one sampler step.
#pragma once
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// n rows in double. For objectives on pairs n is even: the first half are the preferred ones, the second half their
/// partners at the same steps.
struct PolicyRows {
  Tensor log_probs;      ///< [n] of the stored transitions under the present weights, with their graph
  Tensor old_log_probs;  ///< [n] under the weights that sampled them
  Tensor advantages;     ///< [n] of the row's image
  /// [n] under the untuned network; undefined unless the objective asks for the reference
  Tensor reference_log_probs = {};
  /// [n] mean over elements of (guided output - the untuned network's)^2, with its graph; undefined likewise
  Tensor drift = {};

  /// p_theta / p_old of each row (with the mean reduction: its D-th root).
  Tensor ratios() const { return (log_probs - old_log_probs).exp(); }  // [n]
};

}  // namespace reward_tuner
