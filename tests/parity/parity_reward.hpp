// Answers for the "reward" parity cases, by reward.
#pragma once
#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>

#include <tests/parity/parity_reward_blip.hpp>
#include <tests/parity/parity_reward_clip.hpp>

namespace reward_tuner::parity {

inline std::map<std::string, torch::Tensor> probe_reward(const std::filesystem::path& case_dir) {
  const auto name = ConfigReader::from_file(case_dir / "case.json").required<std::string>("reward");
  if (name == "clip_score" || name == "pick_score" || name == "hps" || name == "aesthetic")
    return probe_clip_reward(case_dir);
  if (name == "image_reward" || name == "owlvit") return probe_other_reward(case_dir, name);
  detail::fail("unsupported reward ", name);
}

}  // namespace reward_tuner::parity
