// Tensors to PNG files; image_file.hpp reads them.
#pragma once
#include <filesystem>
#include <string>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The bytes of a PNG file (8 bits a channel). `image` is [3,H,W] (color) or [H,W] or [1,H,W] (grey), floating point,
/// nominally in [0,1]: values are clamped, then rounded to the nearest of 256 levels; what is not a number becomes 0.
/// Any device and dtype; no gradient.
/// Errors: other shapes, whole-number dtypes (whose scale would be a guess), empty images.
std::string encode_png(const Tensor& image);

/// Writes `image` (see encode_png) as a PNG file, atomically. Errors: those of encode_png, a missing or read-only
/// folder, a full disk.
void write_png(const std::filesystem::path& path, const Tensor& image);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/png.ipp>
#endif
