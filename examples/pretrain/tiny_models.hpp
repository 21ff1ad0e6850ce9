// The sizes of the tiny Stable Diffusion's networks.
#pragma once
#include <cstdint>

#include <examples/pretrain/shape_images.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

namespace reward_tuner::pretrain {

/// Factor 4, latents 4 x 16 x 16, 0.7 M parameters.
inline AutoencoderKLConfig tiny_vae_config() {
  AutoencoderKLConfig config;
  config.block_out_channels = {16, 32, 64};
  config.layers_per_block = 1;
  config.norm_num_groups = 4;
  config.sample_size = kImageSide;
  config.scaling_factor = 1.0;
  return config;
}

/// Tokens of a prompt, start and end included.
inline constexpr std::int64_t kPromptTokens = 16;
/// Width of the text states.
inline constexpr std::int64_t kTextWidth = 64;

/// Two levels of 48 and 96 channels, attention to the text at 8 x 8, 2.2 M parameters.
inline UNet2DConditionConfig tiny_unet_config() {
  UNet2DConditionConfig config;
  config.sample_size = 16;
  config.down_block_types = {"DownBlock2D", "CrossAttnDownBlock2D"};
  config.up_block_types = {"CrossAttnUpBlock2D", "UpBlock2D"};
  config.block_out_channels = {48, 96};
  config.layers_per_block = {1, 1};
  config.norm_num_groups = 16;
  config.cross_attention_dim = {kTextWidth, kTextWidth};
  config.transformer_layers_per_block = {1, 1};
  config.attention_head_dim = {4, 4};
  return config;
}

/// A text tower of two layers.
inline ClipTextConfig tiny_text_config(const ClipTokenizer& tokenizer) {
  ClipTextConfig config;
  config.vocab_size = tokenizer.vocab_size();
  config.eos_token_id = tokenizer.eos_id();
  config.hidden_size = kTextWidth;
  config.intermediate_size = 4 * kTextWidth;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.max_position_embeddings = kPromptTokens;
  config.projection_dim = kTextWidth;
  return config;
}

/// The text tower of the denoiser's shape, a vision tower of 64 patches of 8 x 8 pixels, and a joint space of 64
/// numbers.
inline ClipConfig tiny_clip_config(const ClipTokenizer& tokenizer) {
  ClipConfig config;
  config.text = tiny_text_config(tokenizer);
  config.vision.hidden_size = 96;
  config.vision.intermediate_size = 288;
  config.vision.num_hidden_layers = 3;
  config.vision.num_attention_heads = 6;
  config.vision.image_size = kImageSide;
  config.vision.patch_size = 8;
  config.vision.projection_dim = 64;
  config.text.projection_dim = 64;
  config.projection_dim = 64;
  return config;
}

}  // namespace reward_tuner::pretrain
