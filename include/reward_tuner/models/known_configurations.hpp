// The configurations of the published models, for a file that has none beside it.
#pragma once
#include <string>

#include <nlohmann/json.hpp>

namespace reward_tuner {

/// The published models whose configurations are known. Others of their families have the same.
enum class KnownModel {
  kSd15,      ///< Stable Diffusion 1.5, for all of 1.x: predicts the noise, 512 pixels
  kSd21Base,  ///< Stable Diffusion 2.1 base, for 2.0 base too: predicts the noise, 512 pixels
  kSd21,      ///< Stable Diffusion 2.1, for 2.0 too: predicts the velocity v, 768 pixels
  kSdxlBase   ///< Stable Diffusion XL base 1.0: predicts the noise, 1024 pixels
};

/// A part's configuration as diffusers and transformers write it: "unet", "vae", "text_encoder", "text_encoder_2",
/// "scheduler", or "model_index" for model_index.json; null if the model has no such part.
/// Sources: the configuration files published with the models (stable-diffusion-v1-5/stable-diffusion-v1-5,
/// stabilityai/stable-diffusion-2-1-base, stabilityai/stable-diffusion-2-1, stabilityai/stable-diffusion-xl-base-1.0),
/// and the same facts in the trainers' own (v1-inference.yaml, v2-inference.yaml, v2-inference-v.yaml,
/// sd_xl_base.yaml).
nlohmann::json known_configuration(KnownModel model, const std::string& part);

/// "Stable Diffusion 1.5", ...
std::string known_model_name(KnownModel model);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/known_configurations.ipp>
#endif
