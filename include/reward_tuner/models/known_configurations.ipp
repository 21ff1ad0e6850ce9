// Definitions of known_configurations.hpp.
#pragma once
#include <reward_tuner/models/known_configurations.hpp>

#include <string_view>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

inline constexpr std::string_view kSd15Configurations = R"({
  "model_index": {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [null, null],
    "requires_safety_checker": false,
    "safety_checker": [null, null],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"]
  },
  "scheduler": {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": false,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": false,
    "skip_prk_steps": true,
    "steps_offset": 1,
    "trained_betas": null
  },
  "unet": {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": false,
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": true,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
  },
  "vae": {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
    "force_upcast": true,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "scaling_factor": 0.18215,
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"]
  },
  "text_encoder": {
    "architectures": ["CLIPTextModel"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "projection_dim": 768,
    "vocab_size": 49408
  }
})";

/// What differs from Stable Diffusion 1.5.
inline constexpr std::string_view kSd21BaseConfigurations = R"({
  "scheduler": {"prediction_type": "epsilon"},
  "unet": {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": true
  },
  "text_encoder": {
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "projection_dim": 512
  }
})";

/// What differs from Stable Diffusion 2.1 base.
inline constexpr std::string_view kSd21Configurations = R"({
  "model_index": {"scheduler": ["diffusers", "DDIMScheduler"]},
  "scheduler": {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"},
  "unet": {"sample_size": 96, "upcast_attention": true},
  "vae": {"sample_size": 768}
})";

/// What differs from Stable Diffusion 1.5.
inline constexpr std::string_view kSdxlBaseConfigurations = R"({
  "model_index": {
    "_class_name": "StableDiffusionXLPipeline",
    "feature_extractor": null,
    "force_zeros_for_empty_prompt": true,
    "requires_safety_checker": null,
    "safety_checker": null,
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"]
  },
  "scheduler": {
    "_class_name": "EulerDiscreteScheduler",
    "interpolation_type": "linear",
    "prediction_type": "epsilon",
    "sample_max_value": 1.0,
    "timestep_spacing": "leading",
    "use_karras_sigmas": false
  },
  "unet": {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "use_linear_projection": true
  },
  "vae": {"sample_size": 1024, "scaling_factor": 0.13025},
  "text_encoder_2": {
    "architectures": ["CLIPTextModelWithProjection"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_size": 1280,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "intermediate_size": 5120,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "pad_token_id": 1,
    "projection_dim": 1280,
    "vocab_size": 49408
  }
})";

}  // namespace detail

REWARD_TUNER_INLINE nlohmann::json known_configuration(KnownModel model, const std::string& part) {
  nlohmann::json all = nlohmann::json::parse(detail::kSd15Configurations);
  const auto differ = [&](std::string_view text) { all.merge_patch(nlohmann::json::parse(text)); };
  if (model == KnownModel::kSdxlBase) differ(detail::kSdxlBaseConfigurations);
  else if (model != KnownModel::kSd15) differ(detail::kSd21BaseConfigurations);
  if (model == KnownModel::kSd21) differ(detail::kSd21Configurations);
  return all.value(part, nlohmann::json());
}

REWARD_TUNER_INLINE std::string known_model_name(KnownModel model) {
  switch (model) {
    case KnownModel::kSd15:
      return "Stable Diffusion 1.5";
    case KnownModel::kSd21Base:
      return "Stable Diffusion 2.1 base";
    case KnownModel::kSd21:
      return "Stable Diffusion 2.1";
    case KnownModel::kSdxlBase:
      break;
  }
  return "Stable Diffusion XL base 1.0";
}

}  // namespace reward_tuner
