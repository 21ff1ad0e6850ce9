// Answers for the "reward" parity cases of ImageReward and OWL-ViT.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/blip.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/rewards/image_reward.hpp>
#include <reward_tuner/rewards/objectness.hpp>
#include <reward_tuner/text/word_piece.hpp>

#include <tests/parity/parity_reward_clip.hpp>
#include <tests/reference/test_folder.hpp>

namespace reward_tuner::parity {

/// ImageReward by `name` "image_reward", else OWL-ViT.
inline std::map<std::string, torch::Tensor> probe_other_reward(const std::filesystem::path& case_dir,
                                                               const std::string& name) {
  const auto prompts = read_json(case_dir / "case.json").at("prompts").get<std::vector<std::string>>();
  const torch::Tensor images = SafetensorsFile::open(case_dir / "inputs.safetensors").tensor("images");
  const io_test::Folder folder;
  link_case(case_dir, folder);
  if (name == "image_reward") {
    const ImageReward reward = ImageReward::load(folder.path);
    auto answers = scored_answers(reward, reward.blip().preprocessor(), images, prompts);
    const WordPieceRows rows = reward.blip().tokenizer()(prompts, BlipModel::kTextLength);
    answers["input_ids"] = rows.ids;
    answers["attention_mask"] = rows.mask;
    return answers;
  }
  const auto owl = OwlVitModel::load(folder.path);
  auto answers = scored_answers(ObjectnessReward(owl), owl->preprocessor(), images, prompts);
  answers["input_ids"] = owl->tokenizer()(prompts, owl->config().text.max_position_embeddings);
  return answers;
}

}  // namespace reward_tuner::parity
