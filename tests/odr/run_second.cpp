// The second unit: a host that has its own public copy of stb_image, with JPEG, in the same unit as our headers.
#include <stb/stb_image.h>

#include <ATen/ops/full.h>

#include <string>

#include <reward_tuner/run.hpp>
#include <reward_tuner/shapes/composition.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>
#include <reward_tuner/shapes/shape_evaluation.hpp>

#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#ifdef STBI_NO_JPEG
#error "stb_codec.hpp must not leave its settings behind"
#endif

std::string png_of_second_unit() { return reward_tuner::encode_png(at::full({3, 8, 8}, 0.5)); }

bool host_reads(const std::string& png, int size) {
  int width = 0, height = 0, channels = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(png.data());
  unsigned char* pixels = ::stbi_load_from_memory(bytes, static_cast<int>(png.size()), &width, &height, &channels, 3);
  const bool good = pixels != nullptr && width == size && height == size && channels == 3 && pixels[0] == 128;
  ::stbi_image_free(pixels);
  return good;
}
