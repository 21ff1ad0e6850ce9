// A round of an objective that learns from samples: what was sampled, scored and kept, between sampling and training.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/engine/condition_source.hpp>
#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// Made by RewardTuner::sample and consumed by RewardTuner::train. The model may change in between: log-probabilities
/// are those of the sampling. A round that is dropped leaves no trace in the tuner.
struct Round {
  Transitions transitions;      ///< of the kept images
  ConditionSource source = {};  ///< of their condition: an optimizer step that trains the text encoder makes it again
  std::vector<double> weights;  ///< [kept] advantage times the branch's weight; for a denoising objective its weight
  /// for objectives on pairs: better and worse image of a root
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  AdvantageInput scored = {};  ///< of all images: what the advantage remembers once the round is trained
  UpdateReport report;         ///< of the sampling
  /// set if the weights changed between sampling and training: the first ratio then need not be 1 and gives no warning
  bool weights_moved = false;
};

}  // namespace reward_tuner
