// Where a pre-training loss draws its images from: an interface, so that the regularizers do not depend on a file
// format.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// N captioned images of one size. CaptionedImages (run/captioned_images.hpp) reads a folder of image files.
class CaptionedImageSource {
 public:
  virtual ~CaptionedImageSource() = default;
  /// N, at least 1.
  virtual std::int64_t size() const = 0;
  /// [N] captions.
  virtual const std::vector<std::string>& captions() const = 0;
  /// Images by index, float in [0,1].  rows int64 [B] -> [B,3,H,W]
  virtual Tensor images(const Tensor& rows) const = 0;

 protected:
  CaptionedImageSource() = default;
  CaptionedImageSource(const CaptionedImageSource&) = default;
  CaptionedImageSource& operator=(const CaptionedImageSource&) = default;
};

}  // namespace reward_tuner
