// A CLIP's vectors of a reward's images and prompts, computed once for all rewards that share the CLIP.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <sstream>
#include <string>

#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

namespace detail {

/// Text that is equal for settings that make the same pixels of images [.,.,height,width]. Of a square image every rule
/// makes the same, so that rewards of different libraries share their vectors.
inline std::string preprocessing_key(const ImagePreprocessor& preprocessor, std::int64_t height, std::int64_t width,
                                     double leak) {
  const ImagePreprocessorOptions& o = preprocessor.options();
  const auto [rows, columns] = preprocessor.resized(height, width);
  std::ostringstream text;
  text.precision(17);
  text << o.side << ' ' << rows << ' ' << columns << ' ' << leak << ' ' << o.antialias;
  if (rows != o.side || columns != o.side)
    text << ' ' << static_cast<int>(o.rule) << ' ' << static_cast<int>(o.crop_start);
  for (const auto& channels : {o.mean, o.deviation})
    for (const double value : channels) text << ' ' << value;
  return text.str();
}

}  // namespace detail

/// Unit vectors [B,P] of the input's images, clamped to [0,1] with `leak` and made ready by `preprocessor`.
/// Gradient: all of it reaches the images. Cost: one pass of the vision tower for all rewards of the input that ask for
/// the same.
inline Tensor clip_image_vectors(const RewardInput& input, const std::shared_ptr<const ClipModel>& clip,
                                 const ImagePreprocessor& preprocessor, double leak) {
  const Tensor& images = input.images;  // [B,3,H,W]
  return input.vectors->get(
      {.model = clip,
       .images = images,
       .preprocessing = detail::preprocessing_key(preprocessor, images.size(2), images.size(3), leak)},
      [&] { return clip->pixel_features(preprocessor(leaky_clamp(images, leak))); });
}

/// Unit vectors [B,P] of the input's prompts, without gradient.
inline Tensor clip_text_vectors(const RewardInput& input, const std::shared_ptr<const ClipModel>& clip) {
  const at::NoGradGuard no_grad;
  return input.vectors->get({.model = clip, .prompts = input.prompts},
                            [&] { return clip->text_features(input.prompts); });
}

/// Cosines [B] of each image and its prompt.
inline Tensor clip_cosines(const RewardInput& input, const std::shared_ptr<const ClipModel>& clip,
                           const ImagePreprocessor& preprocessor, double leak) {
  return (clip_image_vectors(input, clip, preprocessor, leak) * clip_text_vectors(input, clip)).sum(-1);  // [B]
}

}  // namespace reward_tuner
