// The input and the result of a reward.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// One batch of finished images with their prompts and other metadata.
struct RewardInput {
  Tensor images;  ///< [B,3,H,W], nominally [0,1] but not clamped; carries gradient for differentiable rewards
  std::vector<std::string> prompts;  ///< B prompts
  /// int64 [B] on the images' device, equal for images of one group, which are those of one prompt of an update or an
  /// evaluation; undefined without groups
  Tensor group_ids = {};
  Tensor latents = {};  ///< [B,C,h,w] the clean latents, undefined if not available
  /// one per image, from which randomized rewards draw; empty: they draw nothing
  std::vector<std::uint64_t> seeds = {};
  /// what rewards of this input have computed for each other, graphs among it: a second backward through this input
  /// wants a new one; copies of the input share it
  std::shared_ptr<SharedVectors> vectors = std::make_shared<SharedVectors>();
};

/// A part of a weighted sum.
struct RewardPart {
  double weight = 1;   ///< its factor in the sum
  Tensor values = {};  ///< [B] the part's own, without gradient
};

/// One number per image, higher is better; components are reported under their own names (a loss keeps its sign).
struct RewardResult {
  Tensor values;                                  ///< [B]
  std::map<std::string, Tensor> components = {};  ///< name -> [B]
  /// what `values` is the weighted sum of, for advantages that compare each part alone; empty: no sum. A reward that
  /// changes the values of another one clears it
  std::vector<RewardPart> parts = {};
  /// bool [B], true for an image whose score could not be had: its value and components are NaN and mean nothing, and
  /// a round leaves it out. Undefined: each image has its score
  Tensor failed = {};
};

}  // namespace reward_tuner
