// The shape detector's metrics for an evaluation whose prompts are captions of the shape language.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/shapes/shape_reward.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace reward_tuner::shapes {

/// Whether `text` is a caption of shape_vocabulary.hpp.
inline bool is_caption(const std::string& text) {
  try {
    parse_caption(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// If every prompt is a caption: "shape_score", "color_accuracy", "shape_accuracy", "relation_accuracy", "blank_share"
/// and "coverage". Otherwise nothing.
inline std::vector<EvaluationReward> shape_evaluation_rewards(const std::vector<std::string>& prompts) {
  if (prompts.empty() || !std::all_of(prompts.begin(), prompts.end(), is_caption)) return {};
  return {{"shape_score", AnyReward(ShapeReward())}};
}

}  // namespace reward_tuner::shapes
