// Everything of a run that a checkpoint holds, and the checkpoint that it becomes.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/files/checkpoint.hpp>
#include <reward_tuner/run/kept_weights.hpp>
#include <reward_tuner/run/prompt_stream.hpp>
#include <reward_tuner/run/run_progress.hpp>
#include <reward_tuner/run/trained_weights.hpp>
#include <reward_tuner/tuner/tuner_state.hpp>

namespace reward_tuner {

/// A run between two updates.
struct RunState {
  std::map<std::string, Tensor> parameters = {};  ///< the trained tensors by name
  std::map<std::string, Tensor> optimizer = {};   ///< its moments
  std::map<std::string, Tensor> average = {};     ///< of the weights; empty without one
  KeptWeights best = {};                          ///< of the best evaluation; empty if none is kept
  Tensor rng = {};                                ///< of the random stream, uint8
  Tensor images_before = {};                      ///< [P,3,H,W] of the first evaluation; undefined before it
  TunerState tuner = {};
  RunProgress progress = {};
  std::optional<PromptStreamState> prompts = {};  ///< where a stream of prompts stands
  nlohmann::json fingerprint = {};                ///< what decides the numbers (run_fingerprint.hpp)
};

Checkpoint to_checkpoint(const RunState& state);

/// What a checkpoint holds. `streamed`: the prompts must have a position. Errors: numbers that are missing or of
/// another kind, nlohmann's or named; tensors are looked at by check_fits.
RunState run_state(const Checkpoint& checkpoint, bool streamed);

/// Throws unless the checkpoint at `path` holds every trained tensor in its shape, those of the best evaluation too if
/// it has any, and a random stream like `rng`.
void check_fits(const RunState& saved, const TrainedWeights& weights, const Tensor& rng,
                const std::filesystem::path& path);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/run_state.ipp>
#endif
