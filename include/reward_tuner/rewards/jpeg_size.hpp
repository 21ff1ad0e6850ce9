// The file size reward: bytes of the image as a real JPEG file by libjpeg. A black box.
#pragma once
#include <ATen/ops/empty.h>
#include <torch/types.h>

#include <csetjmp>
#include <cstdint>
#include <cstdio>  // jpeglib.h needs FILE and size_t
#include <string_view>

#if !__has_include(<jpeglib.h>)
#error "[RewardTuner] jpeg_size.hpp needs libjpeg (Debian: libjpeg-dev); find_package(RewardTuner) links it if present"
#endif
#include <jpeglib.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

namespace detail {

/// libjpeg's error manager, which jumps back instead of ending the program.
struct JpegFailure {
  jpeg_error_mgr manager;  // first, so that libjpeg's pointer to it is a pointer to this
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

/// A destination that counts bytes and keeps none.
struct JpegCounter {
  jpeg_destination_mgr manager;  // first, as above
  std::int64_t bytes;
  JOCTET buffer[4096];
};

inline void jpeg_fail(j_common_ptr info) {
  auto* failure = reinterpret_cast<JpegFailure*>(info->err);
  info->err->format_message(info, failure->message);
  std::longjmp(failure->back, 1);
}

inline void jpeg_say_nothing(j_common_ptr) {}

inline void jpeg_rewind(j_compress_ptr info) {
  auto* counter = reinterpret_cast<JpegCounter*>(info->dest);
  counter->manager.next_output_byte = counter->buffer;
  counter->manager.free_in_buffer = sizeof counter->buffer;
}

// libjpeg calls this when the whole buffer is used, whatever free_in_buffer says
inline boolean jpeg_count_full(j_compress_ptr info) {
  reinterpret_cast<JpegCounter*>(info->dest)->bytes += static_cast<std::int64_t>(sizeof(JpegCounter::buffer));
  jpeg_rewind(info);
  return static_cast<boolean>(1);
}

inline void jpeg_count_rest(j_compress_ptr info) {
  auto* counter = reinterpret_cast<JpegCounter*>(info->dest);
  counter->bytes += static_cast<std::int64_t>(sizeof counter->buffer - counter->manager.free_in_buffer);
}

/// Bytes of the file, or -1 with failure.message set. No object with a destructor lives here, because an error jumps
/// out of the middle.
inline std::int64_t jpeg_count(const unsigned char* pixels, unsigned height, unsigned width, int quality,
                               JpegFailure& failure) noexcept {
  jpeg_compress_struct info{};
  JpegCounter counter{};
  info.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = &jpeg_fail;
  failure.manager.output_message = &jpeg_say_nothing;
  if (setjmp(failure.back) != 0) {
    jpeg_destroy_compress(&info);
    return -1;
  }
  jpeg_create_compress(&info);
  counter.manager.init_destination = &jpeg_rewind;
  counter.manager.empty_output_buffer = &jpeg_count_full;
  counter.manager.term_destination = &jpeg_count_rest;
  info.dest = &counter.manager;
  info.image_width = width;
  info.image_height = height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);  // YCbCr, 4:2:0, the standard Huffman tables
  jpeg_set_quality(&info, quality, static_cast<boolean>(1));
  jpeg_start_compress(&info, static_cast<boolean>(1));
  while (info.next_scanline < info.image_height) {
    // libjpeg only reads it
    JSAMPROW row = const_cast<unsigned char*>(pixels + std::size_t{3} * width * info.next_scanline);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  return counter.bytes;
}

}  // namespace detail

/// Bytes that each image takes as a baseline JPEG file: libjpeg, JFIF, 4:2:0, default Huffman tables, pixels
/// round(255 clamp(I, 0, 1)). images [B,3,H,W]; returns int64 [B] on the CPU. No gradient.
/// Errors: images that are not finite; quality outside 1..100; what libjpeg refuses (a side above 65500), in
/// libjpeg's words.
inline Tensor jpeg_bytes(const Tensor& images, int quality = 95) {
  check_reward_images(images, "Jpeg");
  REWARD_TUNER_CHECK(quality >= 1 && quality <= 100, "[Jpeg] quality must be in [1, 100], got ", quality);
  const Tensor x = images.detach();
  REWARD_TUNER_CHECK(x.isfinite().all().item<bool>(), "[Jpeg] expected finite images, got infinities or NaN");
  const Tensor real = x.to(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);  // [B,3,H,W]
  // [B,H,W,3]
  const Tensor pixels = (real.clamp(0, 1) * 255).round().to(at::kCPU, at::kByte).permute({0, 2, 3, 1}).contiguous();
  const Tensor bytes = at::empty({pixels.size(0)}, at::kLong);  // [B]
  detail::JpegFailure failure{};
  for (std::int64_t i = 0; i < pixels.size(0); ++i) {
    const auto count = detail::jpeg_count(pixels.const_data_ptr<std::uint8_t>() + i * pixels.stride(0),
                                          static_cast<unsigned>(pixels.size(1)), static_cast<unsigned>(pixels.size(2)),
                                          quality, failure);
    REWARD_TUNER_CHECK(count >= 0, "[Jpeg] libjpeg expected another image than ", pixels.size(2), "x", pixels.size(1),
                       ": ", failure.message);
    bytes.data_ptr<std::int64_t>()[i] = count;
  }
  return bytes;  // [B]
}

/// Options of JpegSizeReward.
struct JpegSizeOptions {
  int quality = 95;             ///< of the JPEG, 1..100 as libjpeg counts (DDPO: 95)
  bool incompressible = false;  ///< true rewards large files instead of small ones
};
REWARD_TUNER_FIELDS(JpegSizeOptions, quality, incompressible);

/// values = -jpeg_bytes / 1000, or the positive number if options.incompressible (DDPO paper, 5.1: compressibility and
/// incompressibility). The size is always reported as component "jpeg_kilobytes" (of 1000 bytes).
/// Gradient: none. Cost: one JPEG compression per image on the CPU. Errors: quality out of range; those of jpeg_bytes.
/// Example: `const RewardResult result = JpegSizeReward().score(input);`; JpegErrorReward is the differentiable
/// relative.
class JpegSizeReward {
 public:
  using Role = RewardRole;
  using Options = JpegSizeOptions;
  static constexpr bool kDifferentiable = false;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "jpeg_size";

  explicit JpegSizeReward(JpegSizeOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.quality >= 1 && options_.quality <= 100,
                       "[JpegSizeReward] quality must be in [1, 100], got ", options_.quality);
  }

  const JpegSizeOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "JpegSizeReward");
    const auto type = input.images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const Tensor kilobytes = jpeg_bytes(input.images, options_.quality).to(input.images.device(), type) / 1000;  // [B]
    return {options_.incompressible ? kilobytes : -kilobytes, {{"jpeg_kilobytes", kilobytes}}};
  }

 private:
  JpegSizeOptions options_;
};

static_assert(RewardPolicy<JpegSizeReward>);

}  // namespace reward_tuner
