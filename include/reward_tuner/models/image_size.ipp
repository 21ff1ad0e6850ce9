// Definitions of image_size.hpp.
#pragma once
#include <reward_tuner/models/image_size.hpp>

#include <algorithm>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE LatentSize latent_size_of(const UNet2DConditionConfig& unet, const AutoencoderKLConfig& vae,
                                              const std::optional<std::int64_t>& height,
                                              const std::optional<std::int64_t>& width, const std::string& where) {
  const std::int64_t images = vae.reduction(), latents = unet.reduction(), divisor = images * latents;
  const auto side = [&](const char* name, const std::optional<std::int64_t>& pixels, std::int64_t LatentSize::*own) {
    if (!pixels) {
      REWARD_TUNER_CHECK(unet.sample_size, "[StableDiffusion] ", where, " has no sample_size, so the image's ", name,
                         " is not known: expected it in StableDiffusionOptions, got none");
      return (*unet.sample_size).*own;
    }
    const std::int64_t below = std::max(divisor, *pixels / divisor * divisor);
    REWARD_TUNER_CHECK(*pixels > 0 && *pixels % divisor == 0, "[StableDiffusion] the image's ", name,
                       " must be a positive multiple of ", divisor, ", the reduction of the VAE (", images,
                       ") and of the UNet (", latents, "): expected ", below, " or ", below + divisor, ", got ",
                       *pixels);
    return *pixels / images;
  };
  return {side("height", height, &LatentSize::height), side("width", width, &LatentSize::width)};
}

}  // namespace reward_tuner
