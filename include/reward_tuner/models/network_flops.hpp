// What a network call costs in arithmetic, from the network's configuration and the call's sizes alone.
#pragma once
#include <cstdint>

#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/sketch_layers.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>

namespace reward_tuner {

/// Multiplications and additions of a call, and of its backward pass: those of convolutions, linear layers and
/// attention, adapters included. What is done number by number (norms, activations, sums) is not counted.
struct CallFlops {
  std::int64_t forward = 0, backward = 0;
};

/// How a call is made, beyond sizes.
struct CallForm {
  /// where it runs: the CPU doubles pixels inside a transposed convolution, which is less work (upsampled_conv.hpp)
  SketchMachine machine = {};
  SketchTraining training = {};  ///< adapters on its layers, and whether weights are trained
  bool graph = false;            ///< with a graph; without, nothing has a backward pass
  bool through_input = false;    ///< whether that pass reaches the latents or images
  bool through_states = false;   ///< whether it reaches the text states
  bool merged = false;           ///< adapters are a part of the weights where no graph is made
  bool checkpointing = false;    ///< blocks run once more in the backward pass, which counts there
};

/// The UNet on `rows` rows of latents, a guided sample being two, with `tokens` text states each.
CallFlops unet_flops(const UNet2DConditionConfig& config, std::int64_t rows, LatentSize latents, std::int64_t tokens,
                     const CallForm& form = {});

/// The VAE's decoder on `images` latents; with tiling as without.
CallFlops decoder_flops(const AutoencoderKLConfig& config, std::int64_t images, LatentSize latents,
                        const CallForm& form = {});

/// The VAE's encoder on images that become such latents.
CallFlops encoder_flops(const AutoencoderKLConfig& config, std::int64_t images, LatentSize latents,
                        const CallForm& form = {});

/// A text encoder on `rows` rows of tokens.
CallFlops text_flops(const ClipTextConfig& config, std::int64_t rows, std::int64_t tokens, const CallForm& form = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/network_flops.ipp>
#endif
