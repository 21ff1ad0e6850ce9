// The layers that a LoRA file may name when no model is at hand: those of the published families.
#pragma once
#include <filesystem>

#include <reward_tuner/lora/lora_names.hpp>
#include <reward_tuner/models/known_configurations.hpp>

namespace reward_tuner {

/// The layers of a published model that take a LoRA, by part.
LoraParts known_layers(KnownModel model);

/// Those of the first of Stable Diffusion 1, 2 and XL that a LoRA file fits, with a note which it is. Errors: a file
/// that fits none, with the reason for each.
LoraParts known_layers(const std::filesystem::path& lora);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/known_layers.ipp>
#endif
