// A pipeline's networks by the names of its parts.
#pragma once
#include <torch/nn/module.h>

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace reward_tuner {

/// The network of "unet", "vae", "text_encoder" or "text_encoder_2" (which has a projection) by its configuration,
/// without weights: made as new_weight says, see NewWeightsScope. `where` names the configuration in errors.
std::shared_ptr<torch::nn::Module> make_network(const std::string& part, const nlohmann::json& config,
                                                const std::string& where);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/pipeline_networks.ipp>
#endif
