// The rewards an evaluation reports beside the tuned one: symmetry, JPEG error, CLIPScore, and the shape detector where
// the prompts are its language.
#pragma once
#include <algorithm>
#include <concepts>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/shape_reward.hpp>
#include <reward_tuner/rewards/shape_vocabulary.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

namespace reward_tuner {

/// A reward in an evaluation. Its mean is reported under `name`, or not at all if that is empty; its components always
/// are, under their own names.
struct EvaluationReward {
  std::string name;
  AnyReward reward;
};

/// The name under which a component's mean is reported.
// the mean of a yes or no is a share
inline std::string metric_name(const std::string& component) {
  return component == "blank" ? "blank_share" : component;
}

/// Any reward behind one type.
template <class Reward>
AnyReward as_any_reward(const Reward& reward) {
  if constexpr (std::same_as<Reward, AnyReward>) return reward;
  else return AnyReward(reward);
}

/// Gives the pipeline's own CLIP to a reward that wants one.
template <class Pipeline>
AnyReward with_clip(AnyReward reward, Pipeline& pipeline) {
  if constexpr (requires { pipeline.clip(); })
    if (reward.needs_clip()) reward.bind_clip(pipeline.clip());
  return reward;
}

/// "symmetry_error" (literal, lower is better); "jpeg_error" (quality 50, lower is better); "clip_score" if the model
/// folder has a clip/ part; and if every prompt is a caption of shape_vocabulary.hpp "shape_score", "colour_accuracy",
/// "shape_accuracy", "relation_accuracy", "blank_share", "coverage".
template <class Pipeline>
std::vector<EvaluationReward> standard_evaluation_rewards(Pipeline& pipeline, const std::vector<std::string>& prompts) {
  std::vector<EvaluationReward> rewards{{"", AnyReward(SymmetryReward())}, {"", AnyReward(JpegErrorReward())}};
  if constexpr (requires {
                  pipeline.clip();
                  pipeline.folder();
                })
    if (std::filesystem::is_directory(pipeline.folder() / "clip"))
      rewards.push_back({"", AnyReward(ClipScoreReward(pipeline.clip()))});
  const auto is_caption = [](const std::string& prompt) {
    try {
      parse_caption(prompt);
      return true;
    } catch (const std::exception&) {
      return false;
    }
  };
  if (std::all_of(prompts.begin(), prompts.end(), is_caption))
    rewards.push_back({"shape_score", AnyReward(ShapeReward())});
  return rewards;
}

}  // namespace reward_tuner
