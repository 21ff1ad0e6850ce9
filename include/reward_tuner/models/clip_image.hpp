// CLIP's image preprocessing as differentiable tensor operations: resize, center crop, normalize.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Settings of CLIP's image processor; the defaults are OpenAI's.
struct ClipImageOptions {
  std::int64_t shortest_edge = 224;  ///< length of the shorter side after resizing, in pixels
  std::int64_t crop_size = 224;      ///< side of the center crop, in pixels; at most shortest_edge
  std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};        ///< per channel, of images in [0,1]
  std::array<double, 3> deviation{0.26862954, 0.26130258, 0.27577711};  ///< per channel, of images in [0,1]

  /// The settings that a folder holds, by transformers' order of its files: the image_processor section of
  /// processor_config.json (transformers 5's processors), else preprocessor_config.json; `fallback` if it has neither.
  static ClipImageOptions load(const std::filesystem::path& folder, const ClipImageOptions& fallback);

  /// Reads an image processor's settings as transformers writes them; unknown keys and unsupported values throw.
  static ClipImageOptions from_json(const nlohmann::json& json, const std::string& where = "preprocessor_config.json");

  /// Throws unless the sizes fit together.
  void check() const;
};

/// Images to CLIP's input. Equal to transformers' image processor up to its rounding to bytes: the resize is PIL's
/// bicubic filter (a = -0.5, widened when shrinking). Values are not clamped, so overshoot of the filter and of the
/// images keeps its gradient.
class ClipImagePreprocessor {
 public:
  explicit ClipImagePreprocessor(ClipImageOptions options = {}) : options_(std::move(options)) { options_.check(); }

  /// images [B,3,H,W] in [0,1], float or double -> [B,3,S,S] with S = crop_size. Differentiable.
  Tensor operator()(const Tensor& images) const;
  const ClipImageOptions& options() const { return options_; }

 private:
  ClipImageOptions options_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/clip_image.ipp>
#endif
