// The size of a pipeline's images, from what is asked and what its networks can make.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>

namespace reward_tuner {

/// Latents of images of these sides in pixels; a side that is unset is the network's own. `where` names the UNet's
/// configuration. Errors: a side that the reductions of VAE and UNet do not divide, an unset one of a configuration
/// without sample_size.
LatentSize latent_size_of(const UNet2DConditionConfig& unet, const AutoencoderKLConfig& vae,
                          const std::optional<std::int64_t>& height, const std::optional<std::int64_t>& width,
                          const std::string& where);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/image_size.ipp>
#endif
