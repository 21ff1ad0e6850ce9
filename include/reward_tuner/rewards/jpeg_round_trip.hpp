// JPEG compression and decompression as tensor operations: what an image looks like after being stored.
#pragma once
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/replication_pad2d.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/rewards/check_result.hpp>

namespace reward_tuner {

/// The derivative used for the rounding of DCT coefficients. The value is always rounded.
enum class JpegRounding {
  kExact,            ///< the true derivative of rounding almost everywhere, 0: the stored image is a constant
  kStraightThrough,  ///< 1, as if nothing were rounded
  kCubic             ///< 3 (x - round x)^2, the derivative of round x + (x - round x)^3
};

namespace detail {

// ITU-T T.81, tables K.1 and K.2: rows are vertical frequencies, columns horizontal ones.
inline constexpr std::array<int, 64> kJpegLuminance = {
    16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,  //
    14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,  //
    18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,  //
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99};
inline constexpr std::array<int, 64> kJpegChrominance = {
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,  //
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,  //
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,  //
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};

/// D[k][n] = s(k) cos((2n+1) k pi / 16) with s(0) = sqrt(1/8), else 1/2: the orthonormal DCT-II, double [8,8].
inline Tensor jpeg_dct() {
  const Tensor matrix = at::empty({8, 8}, at::kDouble);
  double* value = matrix.data_ptr<double>();
  for (int k = 0; k < 8; ++k)
    for (int n = 0; n < 8; ++n)
      value[8 * k + n] = (k == 0 ? std::sqrt(0.125) : 0.5) * std::cos((2 * n + 1) * k * std::numbers::pi / 16);
  return matrix;  // [8,8]
}

inline Tensor jpeg_round(const Tensor& x, JpegRounding rounding) {
  const Tensor whole = x.detach().round();
  if (rounding == JpegRounding::kExact) return whole;
  const Tensor rest = x - whole;
  const Tensor slope = rounding == JpegRounding::kCubic ? rest * rest * rest : rest;
  return whole + (slope - slope.detach());  // adds exactly zero to the value
}

/// Transforms, rounds and restores planes [B,C,h,w] (h, w multiples of 8, centered on 0) with one table [8,8].
inline Tensor jpeg_planes(const Tensor& planes, const Tensor& table, const Tensor& dct, JpegRounding rounding) {
  const auto batch = planes.size(0), channels = planes.size(1), height = planes.size(2), width = planes.size(3);
  // [B,C,h/8,w/8,8,8]
  const Tensor blocks = planes.reshape({batch, channels, height / 8, 8, width / 8, 8}).transpose(3, 4);
  const Tensor levels = at::matmul(at::matmul(dct, blocks), dct.t()) / table;  // [B,C,h/8,w/8,8,8]
  // [B,C,h/8,w/8,8,8]
  const Tensor restored = at::matmul(at::matmul(dct.t(), jpeg_round(levels, rounding) * table), dct);
  return restored.transpose(3, 4).reshape({batch, channels, height, width});  // [B,C,h,w]
}

}  // namespace detail

/// The quantization table of luminance or chrominance at `quality` as libjpeg makes it: the table of T.81 Annex K times
/// 50/quality (below 50) or (200 - 2 quality)/100 in whole percent, rounded, within 1..255. Returns double [8,8], row =
/// vertical frequency.
inline Tensor jpeg_table(bool chrominance, int quality) {
  REWARD_TUNER_CHECK(quality >= 1 && quality <= 100, "[Jpeg] quality must be in [1, 100], got ", quality);
  const int percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  const auto& base = chrominance ? detail::kJpegChrominance : detail::kJpegLuminance;
  const Tensor table = at::empty({8, 8}, at::kDouble);
  for (std::size_t i = 0; i < base.size(); ++i)
    table.data_ptr<double>()[i] = std::clamp((base[i] * percent + 50) / 100, 1, 255);
  return table;  // [8,8]
}

/// d(c(I)): the images after baseline JPEG with 4:2:0 chroma. x255, JFIF YCbCr, chroma averaged over 2x2 pixels, 8x8
/// blocks minus 128, DCT-II, division by jpeg_table, rounding, and back; chroma repeats over 2x2 pixels; clamped to
/// [0,1]. Sides that are no multiple of 16 are padded by their last pixels. Unlike a JPEG file's, samples are not
/// rounded to bytes between the stages. images [B,3,H,W] in [0,1], float or double (half precision is widened);
/// returns [B,3,H,W].
/// Gradient: as `rounding` says; none at all with `kExact`. Errors: images of another shape, quality outside 1..100.
/// Example: `const Tensor stored = jpeg_round_trip(images, 50);`
inline Tensor jpeg_round_trip(const Tensor& images, int quality, JpegRounding rounding = JpegRounding::kExact) {
  check_reward_images(images, "Jpeg");
  const at::AutoGradMode grad(rounding != JpegRounding::kExact && at::GradMode::is_enabled());
  const auto options = images.options().dtype(images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  const auto constant = [&](const Tensor& x) {
    return x.to(options.device(), images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  };
  const auto height = images.size(2), width = images.size(3), right = (16 - width % 16) % 16,
             below = (16 - height % 16) % 16;
  const Tensor x = at::replication_pad2d(constant(images) * 255, {0, right, 0, below});  // [B,3,H',W']
  const Tensor red = x.select(1, 0), green = x.select(1, 1), blue = x.select(1, 2);      // [B,H',W']
  const Tensor luma = 0.299 * red + 0.587 * green + 0.114 * blue;                        // [B,H',W']
  // [B,2,H'/2,W'/2], Cb and Cr less 128
  const Tensor chroma = at::avg_pool2d(at::stack({(blue - luma) / 1.772, (red - luma) / 1.402}, 1), {2, 2});

  const Tensor dct = constant(detail::jpeg_dct());  // [8,8]
  // [B,H',W']
  const Tensor y =
      detail::jpeg_planes((luma - 128).unsqueeze(1), constant(jpeg_table(false, quality)), dct, rounding).squeeze(1) +
      128;
  // [B,2,H'/2,W'/2]
  const Tensor small = detail::jpeg_planes(chroma, constant(jpeg_table(true, quality)), dct, rounding);
  const Tensor wide = at::upsample_nearest2d(small, {x.size(2), x.size(3)});                    // [B,2,H',W']
  const Tensor r = y + 1.402 * wide.select(1, 1), b = y + 1.772 * wide.select(1, 0);            // [B,H',W']
  const Tensor g = (y - 0.299 * r - 0.114 * b) / 0.587;                                         // [B,H',W']
  return (at::stack({r, g, b}, 1) / 255).clamp(0, 1).narrow(2, 0, height).narrow(3, 0, width);  // [B,3,H,W]
}

}  // namespace reward_tuner
