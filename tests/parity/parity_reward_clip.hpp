// Answers for the "reward" parity cases whose rewards are CLIPs.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/hps.hpp>
#include <reward_tuner/rewards/pick_score.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

#include <tests/reference/test_folder.hpp>

namespace reward_tuner::parity {

/// Links the files of a case into `folder` by the names of a published one.
inline void link_case(const std::filesystem::path& case_dir, const io_test::Folder& folder) {
  namespace fs = std::filesystem;
  const fs::path from = fs::absolute(case_dir);
  fs::create_symlink(from / "config.json", folder / "config.json");
  fs::create_symlink(from / "weights.safetensors", folder / "model.safetensors");
  fs::create_directory_symlink(from / "tokenizer", folder / "tokenizer");
  if (fs::exists(from / "preprocessor_config.json"))
    fs::create_symlink(from / "preprocessor_config.json", folder / "preprocessor_config.json");
}

/// The case's model.
inline std::shared_ptr<const ClipModel> case_clip(const std::filesystem::path& case_dir) {
  const io_test::Folder folder;
  link_case(case_dir, folder);
  return ClipModel::load(folder.path);
}

/// Scores with the gradient of their sum to the images, and what `preprocessor` makes of them.
template <class Reward>
std::map<std::string, torch::Tensor> scored_answers(const Reward& reward, const ImagePreprocessor& preprocessor,
                                                    const torch::Tensor& images,
                                                    const std::vector<std::string>& prompts) {
  const torch::Tensor leaf = images.clone().requires_grad_();                             // [B,3,H,W]
  const torch::Tensor score = reward.score({.images = leaf, .prompts = prompts}).values;  // [B]
  return {{"score", score.detach()},
          {"grad.images", torch::autograd::grad({score.sum()}, {leaf})[0]},
          {"pixel_values", preprocessor(images)}};
}

inline std::map<std::string, torch::Tensor> probe_clip_reward(const std::filesystem::path& case_dir) {
  const nlohmann::json settings = read_json(case_dir / "case.json");
  const auto name = settings.at("reward").get<std::string>();
  const auto prompts = settings.at("prompts").get<std::vector<std::string>>();
  const auto clip = case_clip(case_dir);
  const torch::Tensor images = SafetensorsFile::open(case_dir / "inputs.safetensors").tensor("images");
  std::map<std::string, torch::Tensor> answers;
  if (name == "aesthetic") {
    const AestheticReward reward(AestheticHead::load(case_dir / "head.safetensors"), clip);
    answers = scored_answers(reward, reward.preprocessor(), images, prompts);
  } else if (name == "hps") {
    const HpsReward reward(clip, {.antialias = settings.at("preprocess").at("antialias").get<bool>()});
    answers = scored_answers(reward, reward.preprocessor(), images, prompts);
  } else if (name == "pick_score") {
    answers = scored_answers(PickScoreReward(clip), clip->preprocessor(), images, prompts);
  } else {
    answers = scored_answers(ClipScoreReward(clip), clip->preprocessor(), images, prompts);
  }
  const torch::NoGradGuard no_grad;
  answers["image_embeds"] = clip->pixel_features(answers.at("pixel_values"));
  if (name == "aesthetic") return answers;
  answers["input_ids"] = clip->tokenizer()(prompts, clip->config().text.max_position_embeddings);
  answers["text_embeds"] = clip->text_features(prompts);
  return answers;
}

}  // namespace reward_tuner::parity
