// Images with captions from a folder, in memory or read when they are drawn: the data of a pre-training loss.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/regularizers/captioned_image_source.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Where the pixels of a folder are kept.
enum class ImageLoading {
  kInMemory,  ///< all are read at once, as bytes
  kStreamed,  ///< each is read from its file when it is drawn: for folders larger than memory; the files must stay
};

/// N images of one size and their captions. A regular value; copies share the pixels.
class CaptionedImages : public CaptionedImageSource {
 public:
  /// images float [N,3,H,W] in [0,1] (rounded to bytes) or uint8; N captions.
  CaptionedImages(const Tensor& images, std::vector<std::string> captions);

  /// Reads a folder of PNG or JPEG images of one size: with a metadata.jsonl of lines {"file_name": "x.png", "text":
  /// "a caption"}, or with an x.txt for every x.png or x.jpg. Both are UTF-8 text (files/text_file.hpp). A note counts
  /// the files that are not read.
  /// Errors: no folder, no images, an image without a caption, a line that is not such an object, images of
  /// different sizes. Streamed images are checked when they are drawn, the first one at once.
  static CaptionedImages from_folder(const std::filesystem::path& folder,
                                     ImageLoading loading = ImageLoading::kInMemory);

  std::int64_t size() const override { return static_cast<std::int64_t>(captions_.size()); }
  const std::vector<std::string>& captions() const override { return captions_; }
  /// Images by index, float in [0,1].  rows int64 [B] -> [B,3,H,W]
  Tensor images(const Tensor& rows) const override;

 private:
  CaptionedImages() = default;
  /// An image of the folder's size.  -> float [3,H,W] in [0,1]
  Tensor read(const std::filesystem::path& file) const;

  using List = std::vector<std::pair<std::filesystem::path, std::string>>;

  static List from_metadata(const std::filesystem::path& folder);

  static List from_neighbors(const std::filesystem::path& folder);

  /// A sentence that counts the files of the folder that are neither in the list nor captions, or nothing.
  static std::string unread(const std::filesystem::path& folder, const List& list);

  Tensor pixels_;  // uint8 [N,3,H,W]; undefined if streamed
  std::vector<std::string> captions_;
  std::vector<std::filesystem::path> files_;  // of a folder
  std::vector<std::int64_t> shape_;           // of each of them
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/captioned_images.ipp>
#endif
