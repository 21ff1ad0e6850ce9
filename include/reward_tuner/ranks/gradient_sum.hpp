// The sum of gradients over the ranks, in the order in which one process would have added them.
#pragma once
#include <torch/types.h>

#include <vector>

#include <reward_tuner/ranks/ranks.hpp>

namespace reward_tuner {

/// The gradients of one optimizer step. Each rank computes a contiguous part of the step's network backwards; a process
/// that is alone adds them one by one, ((g1 + g2) + g3) + ..., and floating-point addition has no other order with the
/// same bits. So the running sum goes along the ranks: the first adds its own as ever, each following one takes the sum
/// so far and adds its backwards one by one; the last one's is everybody's. Piece by piece of a flat list of all
/// gradients, so that the ranks add at once, each in another piece.
/// Without other ranks it does nothing.
/// Memory: of every rank but the first, the gradients of each of its backwards until `finish`.
/// Errors: parameters of several dtypes, with several ranks.
class GradientSum {
 public:
  /// The parameters' gradients are clear.
  GradientSum(const Ranks& ranks, std::vector<Tensor> parameters);

  /// After each network backward.
  void next();
  /// After the last: the parameters' gradients are the sum, on every rank.
  void finish();

 private:
  Ranks ranks_;
  std::vector<Tensor> parameters_;
  std::vector<std::vector<Tensor>> added_;  // of every parameter, in order; of the first rank empty
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/ranks/gradient_sum.ipp>
#endif
