// What vision models do to an image before they see it, as differentiable tensor operations: resize, crop or padding,
// normalization.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// How an image of any size becomes a square.
enum class ResizeRule {
  kShortestEdge,  ///< the shorter edge is resized to `edge`, then the center is cropped: CLIP, ImageReward
  kLongestEdge,   ///< the longer edge is resized to `edge`, then black fills the square (letterbox): HPS v2
  kSquare,        ///< both edges are resized to `edge`, whatever the shape was: OWL-ViT
};

/// Where a center crop starts if the number of rows left over is odd.
enum class CropStart {
  kFloor,       ///< half of them, rounded down: transformers
  kHalfToEven,  ///< half of them, rounded to the nearer even number: torchvision, so OpenAI's CLIP and open_clip
};

/// Settings of an ImagePreprocessor; the defaults are those of OpenAI's CLIP in transformers.
struct ImagePreprocessorOptions {
  ResizeRule rule = ResizeRule::kShortestEdge;
  std::int64_t edge = 224;  ///< length that `rule` gives an edge, in pixels
  std::int64_t side = 224;  ///< side of the result, in pixels: at most `edge` with kShortestEdge, else equal to it
  CropStart crop_start = CropStart::kFloor;  ///< used with kShortestEdge only
  /// true: the bicubic filter is widened when it shrinks, a = -0.5 (PIL, torchvision from 0.17 on); false: it is not,
  /// a = -0.75 (tensors in torchvision before 0.17)
  bool antialias = true;
  std::array<double, 3> mean{0.48145466, 0.4578275, 0.40821073};        ///< per channel, of images in [0,1]
  std::array<double, 3> deviation{0.26862954, 0.26130258, 0.27577711};  ///< per channel, of images in [0,1]

  /// The settings that a folder holds, by transformers' order of its files: the image_processor section of
  /// processor_config.json (transformers 5's processors), else preprocessor_config.json; `fallback` if it has neither.
  static ImagePreprocessorOptions load(const std::filesystem::path& folder, const ImagePreprocessorOptions& fallback);

  /// Reads an image processor's settings as transformers writes them; unknown keys and unsupported values throw.
  static ImagePreprocessorOptions from_json(const nlohmann::json& json,
                                            const std::string& where = "preprocessor_config.json");

  /// Throws unless the sizes fit together.
  void check() const;
};

namespace detail {

/// The three numbers of a setting, one a channel; `fallback` if it is absent or null.
std::array<double, 3> channel_numbers(ConfigReader& reader, const std::string& key,
                                      const std::array<double, 3>& fallback);

}  // namespace detail

/// Images to a vision model's input. Equal to the Python libraries up to their rounding to bytes: values are neither
/// rounded nor clamped, so that overshoot of the filter and of the images keeps its gradient.
/// Gradient: all of it reaches the images.
/// Example: `Tensor pixels = ImagePreprocessor({.rule = ResizeRule::kLongestEdge})(images);  // [B,3,224,224]`
class ImagePreprocessor {
 public:
  explicit ImagePreprocessor(ImagePreprocessorOptions options = {}) : options_(std::move(options)) { options_.check(); }

  /// images [B,3,H,W] in [0,1], float or double -> [B,3,S,S] with S = side.
  Tensor operator()(const Tensor& images) const;

  /// Height and width of an image of these after the resize, before crop or padding; at least 1.
  std::pair<std::int64_t, std::int64_t> resized(std::int64_t height, std::int64_t width) const;

  const ImagePreprocessorOptions& options() const { return options_; }

 private:
  ImagePreprocessorOptions options_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/image_preprocessor.ipp>
#endif
