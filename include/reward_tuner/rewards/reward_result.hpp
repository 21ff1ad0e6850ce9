// What a reward sees and what it answers.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace reward_tuner {

using torch::Tensor;

/// One batch of finished pictures with what is known about them.
struct RewardInput {
  Tensor images;  ///< [B,3,H,W], nominally [0,1] but not clamped; carries gradient for differentiable rewards
  std::vector<std::string> prompts;  ///< B prompts
  Tensor group_ids = {};             ///< int64 [B], equal for pictures of one group; undefined without groups
  Tensor latents = {};               ///< [B,C,h,w] the clean latents, undefined if not at hand
  /// one a picture: what randomised rewards draw from; empty: they draw nothing
  std::vector<std::uint64_t> seeds = {};
};

/// One number a picture, higher is better; parts are reported under their own names (a loss keeps its sign there).
struct RewardResult {
  Tensor values;                                  ///< [B]
  std::map<std::string, Tensor> components = {};  ///< name -> [B]
};

}  // namespace reward_tuner
