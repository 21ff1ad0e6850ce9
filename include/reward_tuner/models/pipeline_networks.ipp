// Definitions of pipeline_networks.hpp.
#pragma once
#include <reward_tuner/models/pipeline_networks.hpp>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::shared_ptr<torch::nn::Module> make_network(const std::string& part,
                                                                    const nlohmann::json& config,
                                                                    const std::string& where) {
  if (part == "unet") return std::make_shared<UNet2DConditionModel>(UNet2DConditionConfig::from_json(config, where));
  if (part == "vae") return std::make_shared<AutoencoderKL>(AutoencoderKLConfig::from_json(config, where));
  REWARD_TUNER_CHECK(part == "text_encoder" || part == "text_encoder_2",
                     "[ModelFiles] expected unet, vae, text_encoder or text_encoder_2, got ", part);
  return std::make_shared<ClipTextModel>(ClipTextConfig::from_json(config, where), part == "text_encoder_2");
}

}  // namespace reward_tuner
