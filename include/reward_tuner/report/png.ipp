// Definitions of png.hpp.
#pragma once
#include <reward_tuner/report/png.hpp>

#include <climits>
#include <cstdint>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/report/stb_codec.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::string encode_png(const Tensor& image) {
  REWARD_TUNER_CHECK(image.defined(), "[Png] expected an image, got an undefined tensor");
  const bool grey = image.dim() == 2 || (image.dim() == 3 && image.size(0) == 1);
  REWARD_TUNER_CHECK(grey || (image.dim() == 3 && image.size(0) == 3),
                     "[Png] expected an image [3,H,W], [1,H,W] or [H,W], got shape ", image.sizes());
  REWARD_TUNER_CHECK(image.is_floating_point(), "[Png] expected floating-point values in [0,1], got dtype ",
                     image.dtype().name());
  constexpr std::int64_t kMostPixels = INT_MAX / 4;  // stb counts bytes in int
  const std::int64_t channels = grey ? 1 : 3, height = image.size(-2), width = image.size(-1);
  REWARD_TUNER_CHECK(height > 0 && width > 0 && height * width <= kMostPixels, "[Png] expected 1 to ", kMostPixels,
                     " pixels, got shape ", image.sizes());
  // [H,W,3] or [H,W,1]
  const Tensor bytes = image.detach()
                           .to(at::kCPU, at::kFloat)
                           .nan_to_num(0, 1, 0)
                           .clamp(0, 1)
                           .mul(255)
                           .round()
                           .to(at::kByte)
                           .reshape({channels, height, width})
                           .permute({1, 2, 0})
                           .contiguous();
  std::string file;
  const auto append = [](void* target, void* data, int size) {
    static_cast<std::string*>(target)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  const int written = detail::stb::stbi_write_png_to_func(
      append, &file, static_cast<int>(width), static_cast<int>(height), static_cast<int>(channels),
      bytes.const_data_ptr<std::uint8_t>(), static_cast<int>(width * channels));
  REWARD_TUNER_CHECK(written != 0, "[Png] could not encode an image of shape ", image.sizes(), " (out of memory?)");
  return file;
}

REWARD_TUNER_INLINE void write_png(const std::filesystem::path& path, const Tensor& image) {
  write_file_atomically(path, encode_png(image));
}

}  // namespace reward_tuner
