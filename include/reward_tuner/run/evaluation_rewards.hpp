// The rewards that every evaluation reports in addition to the tuned one: symmetry, JPEG error and CLIPScore.
#pragma once
#include <filesystem>
#include <utility>
#include <vector>

#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/jpeg_error.hpp>
#include <reward_tuner/rewards/symmetry.hpp>

namespace reward_tuner {

/// Passes the pipeline's CLIP to a reward that needs one.
template <class Pipeline>
AnyReward with_clip(AnyReward reward, Pipeline& pipeline) {
  if constexpr (requires { pipeline.clip(); })
    if (reward.needs_clip()) reward.bind_clip(pipeline.clip());
  return reward;
}

/// "symmetry_error" (literal, lower is better); "jpeg_error" (quality 50, lower is better); "clip_score" if the model
/// folder has a clip/ part. A program adds its own by TrainerOptions::evaluation_rewards.
template <class Pipeline>
std::vector<EvaluationReward> standard_evaluation_rewards(Pipeline& pipeline) {
  std::vector<EvaluationReward> rewards;
  const auto add = [&](AnyReward reward) { rewards.push_back({"", std::move(reward), /*components_only=*/true}); };
  add(AnyReward(SymmetryReward()));
  add(AnyReward(JpegErrorReward()));
  if constexpr (requires {
                  pipeline.clip();
                  pipeline.folder();
                })
    if (std::filesystem::is_directory(pipeline.folder() / "clip")) add(AnyReward(ClipScoreReward(pipeline.clip())));
  return rewards;
}

}  // namespace reward_tuner
