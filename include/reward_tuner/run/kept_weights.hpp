// Trained weights put aside while training goes on: those of the best evaluation.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>

#include <reward_tuner/run/trained_weights.hpp>

namespace reward_tuner {

/// Copies of a run's trained tensors, with the images that they made.
struct KeptWeights {
  std::map<std::string, Tensor> tensors = {};  ///< by their names in a checkpoint; none: nothing was kept yet
  Tensor images = {};                          ///< [P,3,H,W] of the first held-out pairs

  bool empty() const { return tensors.empty(); }

  /// Copies what stands in `weights` now, in place of what was kept before; `images` is not copied.
  void keep(const TrainedWeights& weights, const Tensor& images);

  /// Copies what a checkpoint held of them (check_fits), to where the trained tensors are.
  void keep(const KeptWeights& saved, const TrainedWeights& weights);

  /// Writes the kept tensors by `weights.save`, after which the trained ones stand in `weights` as before, whether that
  /// succeeded or not.
  void save(const TrainedWeights& weights, const std::filesystem::path& run) const;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/kept_weights.ipp>
#endif
