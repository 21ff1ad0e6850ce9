// The image autoencoder of Stable Diffusion: images to latents and back, with diffusers' config and parameter names.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/vae_blocks.hpp>

namespace reward_tuner {

/// Shape of an AutoencoderKL. The defaults are Stable Diffusion 1.5.
struct AutoencoderKLConfig {
  std::int64_t in_channels = 3;      ///< channels of images
  std::int64_t out_channels = 3;     ///< channels of decoded images
  std::int64_t latent_channels = 4;  ///< channels of latents
  /// width of every level; each level after the first halves the side
  std::vector<std::int64_t> block_out_channels = {128, 256, 512, 512};
  std::int64_t layers_per_block = 2;    ///< residual blocks of an encoder level
  std::int64_t norm_num_groups = 32;    ///< groups of all group normalizations
  std::int64_t sample_size = 512;       ///< side of the training images; informative
  double scaling_factor = 0.18215;      ///< the diffusion model sees (latent - shift_factor) * scaling_factor
  double shift_factor = 0.0;            ///< 0 for all Stable Diffusion models before version 3
  bool use_quant_conv = true;           ///< 1x1 convolution behind the encoder
  bool use_post_quant_conv = true;      ///< 1x1 convolution before the decoder
  bool mid_block_add_attention = true;  ///< attention at the lowest resolution
  bool force_upcast = true;             ///< half precision overflows in it: a pipeline keeps its weights in float32

  /// `from_json` of a file, which errors name.
  static AutoencoderKLConfig load(const std::filesystem::path& file);

  /// Reads a config.json. Absent keys have diffusers' defaults. Throws for unknown keys and for values that this
  /// library cannot build.
  static AutoencoderKLConfig from_json(const nlohmann::json& json, const std::string& where = "vae/config.json");

  /// A config.json that diffusers loads.
  nlohmann::json to_json() const;

  /// Throws unless the fields fit each other.
  void check(const std::string& where = "AutoencoderKLConfig") const;

  /// Pixels of an image's side per latent pixel.
  std::int64_t reduction() const { return std::int64_t{1} << (block_out_channels.size() - 1); }

 private:
  static void check_types(const std::string& where, const char* key, const std::vector<std::string>& found,
                          const char* wanted, std::size_t levels);
};

/// Variational autoencoder of latent diffusion (Rombach et al. 2022); names and numbers as diffusers' AutoencoderKL.
/// All parameters require gradients at first and are uninitialized until weights are loaded or `initialize` is called.
class AutoencoderKL : public torch::nn::Module {
 public:
  explicit AutoencoderKL(AutoencoderKLConfig config);

  /// Mean and log-variance of the latents' normal distribution, stacked along the channels. images [B,3,H,W] in [-1,1]
  /// -> [B,2*latent_channels,h,w] with h and w the sides divided by config().reduction(), rounded down. Clamp the
  /// log-variance to [-30,20] before use, as diffusers does (see `latent_std`).
  Tensor encode_moments(const Tensor& images) const;

  /// Mean half of the moments.  [B,2C,h,w] -> [B,C,h,w]
  static Tensor latent_mean(const Tensor& moments) { return moments.chunk(2, 1)[0]; }
  /// Standard deviation exp(logvar / 2) with the log-variance clamped to [-30,20].  [B,2C,h,w] -> [B,C,h,w]
  static Tensor latent_std(const Tensor& moments) { return (0.5 * moments.chunk(2, 1)[1].clamp(-30.0, 20.0)).exp(); }

  /// Images from UNSCALED latents, that is from x / scaling_factor + shift_factor. latents [B,latent_channels,h,w] ->
  /// [B,3,H,W], nominally in [-1,1] but not clamped. Differentiable in the latents.
  Tensor decode(const Tensor& latents) const;

  /// Encoder and decoder work through images in strips of rows, of about `strip` numbers each, and keep half as much
  /// for the backward (normalized_conv.hpp): the same images and gradients up to rounding. Wants frozen weights.
  void set_tiling(bool on, std::int64_t strip = kStrip);
  static constexpr std::int64_t kStrip = 1 << 21;  ///< 8 MiB of float32

  const AutoencoderKLConfig& config() const { return config_; }

 private:
  AutoencoderKLConfig config_;
  std::shared_ptr<VaeEncoder> encoder_;
  std::shared_ptr<VaeDecoder> decoder_;
  std::shared_ptr<Conv2d> quant_conv_, post_quant_conv_;
};

/// Today's name of an autoencoder's weight: files written before diffusers 0.16 call the attention layers query, key,
/// value and proj_attn. Other names come back unchanged. Fits LoadOptions::rename.
std::string rename_legacy_vae_key(std::string key);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/autoencoder_kl.ipp>
#endif
