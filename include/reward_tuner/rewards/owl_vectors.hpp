// What an OWL-ViT sees in a reward's images and reads in its queries, computed once for all rewards that share it.
#pragma once
#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/rewards/clip_vectors.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// `OwlVitModel::patches` [B,N,W] of the input's images, clamped to [0,1] with `leak`.
/// Gradient: all of it reaches the images. Cost: one pass of the vision tower for all rewards of the input that ask for
/// the same.
inline Tensor owl_patches(const RewardInput& input, const std::shared_ptr<const OwlVitModel>& owl, double leak) {
  const Tensor& images = input.images;  // [B,3,H,W]
  return input.vectors->get(
      {.model = owl,
       .images = images,
       .preprocessing = detail::preprocessing_key(owl->preprocessor(), images.size(2), images.size(3), leak)},
      [&] { return owl->patches(leaky_clamp(images, leak)); });
}

/// `OwlVitModel::queries` [1,Q,D] of texts, without gradient.
inline Tensor owl_queries(const RewardInput& input, const std::shared_ptr<const OwlVitModel>& owl,
                          const std::vector<std::string>& texts) {
  const at::NoGradGuard no_grad;
  return input.vectors->get({.model = owl, .prompts = texts}, [&] { return owl->queries(texts); });
}

}  // namespace reward_tuner
