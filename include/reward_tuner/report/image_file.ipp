// Definitions of image_file.hpp.
#pragma once
#include <reward_tuner/report/image_file.hpp>

#include <ATen/ops/empty.h>

#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/lower_ascii.hpp>
#include <reward_tuner/files/file_bytes.hpp>
#include <reward_tuner/report/stb_codec.hpp>

namespace reward_tuner {

namespace detail {

inline constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n", kJpegSignature = "\xFF\xD8\xFF";

/// What a file is that is neither, for errors.
inline std::string other_image_kind(std::string_view bytes) {
  constexpr std::array<std::pair<std::string_view, const char*>, 6> kKinds = {{{"GIF8", "a GIF file"},
                                                                               {"BM", "a BMP file"},
                                                                               {"II*", "a TIFF file"},
                                                                               {"MM", "a TIFF file"},
                                                                               {"\xFF\x0A", "a JPEG XL file"},
                                                                               {"P6", "a PPM file"}}};
  if (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP")) return "a WebP file";
  if (bytes.substr(0, 8).ends_with("ftyp")) return "an AVIF or HEIC file";
  for (const auto& [begin, kind] : kKinds)
    if (bytes.starts_with(begin)) return kind;
  return std::to_string(bytes.size()) + " bytes without the signature of either";
}

/// Whether a JPEG file goes on to its end-of-image marker, whatever stands behind that (ITU T.81, B.1). Markers within
/// segments, as of a preview, are not its own; in entropy-coded data no byte FF stands alone.
inline bool has_end_of_jpeg(std::string_view bytes) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
  constexpr unsigned kStuffed = 0x00, kFill = 0xFF, kRestart0 = 0xD0, kRestart7 = 0xD7, kStart = 0xD8, kEnd = 0xD9;
  for (std::size_t at = 0; at + 1 < bytes.size();) {
    const unsigned code = byte(at + 1);
    const bool data = code == kStuffed || code == kFill || (code >= kRestart0 && code <= kRestart7);
    if (byte(at) != 0xFF || data) {
      ++at;
      continue;
    }
    if (code == kEnd) return true;
    at += 2;
    if (code != kStart && at + 1 < bytes.size()) at += 256U * byte(at) + byte(at + 1);  // a segment with its length
  }
  return false;
}

}  // namespace detail

REWARD_TUNER_INLINE Tensor decode_image(std::string_view bytes, const std::string& where) {
  const bool png = bytes.starts_with(detail::kPngSignature);
  REWARD_TUNER_CHECK(png || bytes.starts_with(detail::kJpegSignature), "[ImageFile] expected a PNG or JPEG file in ",
                     where, ", got ", detail::other_image_kind(bytes));
  REWARD_TUNER_CHECK(bytes.size() <= INT_MAX, "[ImageFile] expected at most ", INT_MAX, " bytes in ", where, ", got ",
                     bytes.size());
  // newer stb fills what is missing of a scan with gray
  REWARD_TUNER_CHECK(png || detail::has_end_of_jpeg(bytes), "[ImageFile] expected a whole JPEG file in ", where,
                     ", got: ", bytes.size(), " bytes without an end-of-image marker");
  int width = 0, height = 0, channels = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::unique_ptr<unsigned char, void (*)(void*)> pixels(
      detail::stb::reward_tuner_stbi_load_from_memory(data, static_cast<int>(bytes.size()), &width, &height, &channels,
                                                      /*desired_channels=*/3),
      [](void* memory) { detail::stb::reward_tuner_stbi_image_free(memory); });
  REWARD_TUNER_CHECK(pixels != nullptr, "[ImageFile] expected a whole ", png ? "PNG" : "JPEG", " file in ", where,
                     ", got: ", detail::stb::reward_tuner_stbi_failure_reason());
  Tensor image = at::empty({height, width, 3}, at::kByte);  // [H,W,3]
  std::memcpy(image.mutable_data_ptr<std::uint8_t>(), pixels.get(), static_cast<std::size_t>(image.numel()));
  return image.permute({2, 0, 1}).to(at::kFloat).div(255).contiguous();  // [3,H,W]
}

REWARD_TUNER_INLINE Tensor read_image(const std::filesystem::path& path) {
  REWARD_TUNER_CHECK(std::filesystem::is_regular_file(path), "[ImageFile] expected a readable file, got none at ",
                     path.string());
  return decode_image(read_bytes(path), path.string());
}

REWARD_TUNER_INLINE bool is_image_name(const std::filesystem::path& path) {
  const std::string ending = lower_ascii(path.extension().string());
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

}  // namespace reward_tuner
