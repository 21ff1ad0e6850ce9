// A model's weights with LoRAs added for good, from its files: no network is made, whatever the model's size.
#pragma once
#include <vector>

#include <reward_tuner/models/model_files.hpp>
#include <reward_tuner/models/model_writer.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>

namespace reward_tuner {

/// The layers of a model's UNet and text encoders that a LoRA file may name.
LoraParts lora_parts(const ModelFiles& model);

/// The weights of the parts that the LoRAs change: W + sum of SCALE * alpha / rank * B A, added in float32 (double for
/// double weights) and rounded once to the dtype of W. The other weights of these parts are views of the files.
/// Memory: the changed weights, in their dtype. Errors: no LoRA; those of read_lora; a scale of 0; factors that do not
/// fit a weight, before anything is computed.
/// Example: write_model_file("merged.safetensors", model, merged_weights(model, {{"style"}, {"hero", 0.7}}));
PartWeights merged_weights(const ModelFiles& model, const std::vector<LoraSource>& loras);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/merged_weights.ipp>
#endif
