// Image files to tensors: PNG and JPEG.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The image of a PNG or JPEG file, float [3,H,W] in [0,1] on the CPU. Grey is repeated to three channels, transparency
/// is dropped, 16 bits are cut to 8; a note in the file on how to turn it is not read, as in PIL. Pixels of a JPEG file
/// differ from libjpeg's by few of 255 levels: the format leaves the rounding open.
/// Errors: bytes of another kind, or not of a whole file; `where` names them.
Tensor decode_image(std::string_view bytes, const std::string& where = "memory");

/// Reads a file (see decode_image). Errors: a file that cannot be read; those of decode_image.
Tensor read_image(const std::filesystem::path& path);

/// Whether a file's name ends as those of PNG and JPEG files do: .png, .jpg, .jpeg, in any case.
bool is_image_name(const std::filesystem::path& path);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/image_file.ipp>
#endif
