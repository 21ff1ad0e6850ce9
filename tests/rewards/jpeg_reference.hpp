// What the JPEG tests compare with: libjpeg itself, and the same stages as plain loops in double.
#pragma once
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <vector>

#include <jpeglib.h>

#include <reward_tuner/tensor/rng.hpp>

namespace jpeg_reference {

using torch::Tensor;

/// libjpeg's own quantization table, in natural order; T.81 row by row.
inline std::array<int, 64> libjpeg_table(bool chrominance, int quality) {
  jpeg_error_mgr errors{};
  jpeg_compress_struct info{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  std::array<int, 64> table{};
  for (std::size_t i = 0; i < 64; ++i) table[i] = info.quant_tbl_ptrs[chrominance ? 1 : 0]->quantval[i];
  jpeg_destroy_compress(&info);
  return table;
}

/// The image [3,H,W] (multiples of 1/255) after a real JPEG file; `smooth`: chroma is interpolated on decoding,
/// libjpeg's default.
inline Tensor libjpeg_round_trip(const Tensor& image, int quality, bool smooth, std::size_t* bytes = nullptr) {
  Tensor pixels = (image * 255).round().to(at::kByte).permute({1, 2, 0}).contiguous();  // [H,W,3]
  jpeg_error_mgr errors{};
  jpeg_compress_struct out{};
  out.err = jpeg_std_error(&errors);
  jpeg_create_compress(&out);
  unsigned char* file = nullptr;
  unsigned long size = 0;  // NOLINT: libjpeg's type
  jpeg_mem_dest(&out, &file, &size);
  out.image_width = static_cast<unsigned>(pixels.size(1));
  out.image_height = static_cast<unsigned>(pixels.size(0));
  out.input_components = 3;
  out.in_color_space = JCS_RGB;
  jpeg_set_defaults(&out);
  jpeg_set_quality(&out, quality, TRUE);
  jpeg_start_compress(&out, TRUE);
  while (out.next_scanline < out.image_height) {
    JSAMPROW row = pixels.data_ptr<std::uint8_t>() + static_cast<std::int64_t>(out.next_scanline) * pixels.stride(0);
    jpeg_write_scanlines(&out, &row, 1);
  }
  jpeg_finish_compress(&out);
  jpeg_destroy_compress(&out);
  if (bytes != nullptr) *bytes = size;

  jpeg_decompress_struct in{};
  in.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&in);
  jpeg_mem_src(&in, file, size);
  jpeg_read_header(&in, TRUE);
  in.do_fancy_upsampling = smooth ? TRUE : FALSE;
  jpeg_start_decompress(&in);
  while (in.output_scanline < in.output_height) {
    JSAMPROW row = pixels.data_ptr<std::uint8_t>() + static_cast<std::int64_t>(in.output_scanline) * pixels.stride(0);
    jpeg_read_scanlines(&in, &row, 1);
  }
  jpeg_finish_decompress(&in);
  jpeg_destroy_decompress(&in);
  std::free(file);                                         // NOLINT: libjpeg's malloc
  return pixels.permute({2, 0, 1}).to(at::kDouble) / 255;  // [3,H,W]
}

using Plane = std::vector<std::vector<double>>;

/// Every 8x8 block of a centered plane transformed by T.81's sum over all 64 pixels, rounded by `round`, and back.
template <class Round>
Plane slow_plane(const Plane& plane, const std::array<int, 64>& table, Round round) {
  static const auto cosine = [] {
    std::array<std::array<double, 8>, 8> c{};
    for (std::size_t x = 0; x < 8; ++x)
      for (std::size_t u = 0; u < 8; ++u)
        c[x][u] = (u == 0 ? 1 / std::sqrt(2.0) : 1) / 2 *
                  std::cos((2.0 * static_cast<double>(x) + 1) * static_cast<double>(u) * std::numbers::pi / 16);
    return c;
  }();
  Plane out = plane;
  for (std::size_t top = 0; top < plane.size(); top += 8)
    for (std::size_t left = 0; left < plane[0].size(); left += 8) {
      std::array<double, 64> kept{};
      for (std::size_t v = 0; v < 8; ++v)
        for (std::size_t u = 0; u < 8; ++u) {
          double sum = 0;
          for (std::size_t y = 0; y < 8; ++y)
            for (std::size_t x = 0; x < 8; ++x) sum += plane[top + y][left + x] * cosine[y][v] * cosine[x][u];
          kept[8 * v + u] = round(sum / table[8 * v + u]) * table[8 * v + u];
        }
      for (std::size_t y = 0; y < 8; ++y)
        for (std::size_t x = 0; x < 8; ++x) {
          double sum = 0;
          for (std::size_t v = 0; v < 8; ++v)
            for (std::size_t u = 0; u < 8; ++u) sum += kept[8 * v + u] * cosine[y][v] * cosine[x][u];
          out[top + y][left + x] = sum;
        }
    }
  return out;
}

/// d(c(image)) of one image [3,H,W], double, in [0,1], before the last clamp.
template <class Round>
Tensor slow_round_trip(const Tensor& image, int quality, Round round) {
  const auto in = image.accessor<double, 3>();
  const std::int64_t height = in.size(1), width = in.size(2);
  const auto rows = static_cast<std::size_t>((height + 15) / 16 * 16),
             columns = static_cast<std::size_t>((width + 15) / 16 * 16);
  const Plane empty(rows, std::vector<double>(columns)), half(rows / 2, std::vector<double>(columns / 2));
  Plane luma = empty, blue = half, red = half;
  for (std::size_t y = 0; y < rows; ++y)
    for (std::size_t x = 0; x < columns; ++x) {
      const std::int64_t h = std::min<std::int64_t>(static_cast<std::int64_t>(y), height - 1),
                         w = std::min<std::int64_t>(static_cast<std::int64_t>(x), width - 1);
      const double r = 255 * in[0][h][w], g = 255 * in[1][h][w], b = 255 * in[2][h][w];
      luma[y][x] = 0.299 * r + 0.587 * g + 0.114 * b - 128;
      blue[y / 2][x / 2] += (-0.299 / 1.772 * r - 0.587 / 1.772 * g + 0.5 * b) / 4;
      red[y / 2][x / 2] += (0.5 * r - 0.587 / 1.402 * g - 0.114 / 1.402 * b) / 4;
    }
  luma = slow_plane(luma, libjpeg_table(false, quality), round);
  blue = slow_plane(blue, libjpeg_table(true, quality), round);
  red = slow_plane(red, libjpeg_table(true, quality), round);
  Tensor result = image.clone();
  auto out = result.accessor<double, 3>();
  for (std::int64_t h = 0; h < height; ++h)
    for (std::int64_t w = 0; w < width; ++w) {
      const auto y = static_cast<std::size_t>(h), x = static_cast<std::size_t>(w);
      const double l = luma[y][x] + 128, cb = blue[y / 2][x / 2], cr = red[y / 2][x / 2];
      out[0][h][w] = (l + 1.402 * cr) / 255;
      out[1][h][w] = (l - 0.114 * 1.772 / 0.587 * cb - 0.299 * 1.402 / 0.587 * cr) / 255;
      out[2][h][w] = (l + 1.772 * cb) / 255;
    }
  return result;
}

inline double whole(double x) { return std::nearbyint(x); }

/// Images [B,3,H,W] in double like drawings: a color ramp, a disc of another color, and some grain; within [0.1,
/// 0.9].
inline Tensor drawings(std::int64_t batch, std::int64_t height, std::int64_t width, std::uint64_t seed,
                       double grain = 0.05) {
  reward_tuner::Rng rng(seed);
  Tensor images = rng.uniform({batch, 3, height, width}, at::kDouble) * 2 * grain - grain;
  auto x = images.accessor<double, 4>();
  for (std::int64_t i = 0; i < batch; ++i) {
    const double cy = rng.uniform() * static_cast<double>(height), cx = rng.uniform() * static_cast<double>(width),
                 radius = 0.3 * static_cast<double>(std::min(height, width));
    for (std::int64_t c = 0; c < 3; ++c) {
      const double from = 0.2 + 0.6 * rng.uniform(), to = 0.2 + 0.6 * rng.uniform(), disc = 0.2 + 0.6 * rng.uniform();
      for (std::int64_t h = 0; h < height; ++h)
        for (std::int64_t w = 0; w < width; ++w) {
          const double ramp = from + (to - from) * static_cast<double>(w + h) / static_cast<double>(width + height);
          const bool inside = std::hypot(static_cast<double>(h) - cy, static_cast<double>(w) - cx) < radius;
          x[i][c][h][w] = std::clamp((inside ? disc : ramp) + x[i][c][h][w], 0.1, 0.9);
        }
    }
  }
  return images;
}

}  // namespace jpeg_reference
