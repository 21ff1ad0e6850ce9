// The LoRAs of a whole pipeline: files that adapt the UNet and the text encoders, and several of them at once.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>

namespace reward_tuner {

/// A LoRA file or folder and the strength at which it acts.
struct LoraSource {
  std::filesystem::path path;
  double scale = 1;  ///< 1 as trained, 0 not at all; may be negative
};

/// PATH or PATH:SCALE. What follows the last colon is a scale if it is a number and no file has the whole text as its
/// name. Errors: no path, a scale that is not finite.
LoraSource lora_source(const std::string& text);

/// Puts the LoRA of a file (see read_lora) on the pipeline: one Lora for each part that it adapts, the UNet's first,
/// trainable until frozen. An error leaves the pipeline without any of them.
std::vector<Lora> load_lora(StableDiffusion& pipeline, const std::filesystem::path& folder_or_file);

/// Puts LoRAs on the pipeline as a part of the model: frozen, each with its scale, added up. The reference network has
/// them too. Call it before something is made trainable: the networks' own weights are frozen. An error leaves the
/// pipeline without any of them.
/// Example: auto loras = load_loras(pipeline, {{"style"}, {"character.safetensors", 0.7}});
std::vector<Lora> load_loras(StableDiffusion& pipeline, const std::vector<LoraSource>& sources);

/// Writes LoRAs as one file that diffusers and peft load, each under the names of its part (`prefix()`). Those of one
/// part add up: their ranks too. A path that ends in .safetensors is the file, any other a folder, and `strength` is
/// that of all, see Lora::save. Errors: no LoRA, a scale or a strength of 0.
void save_loras(const std::filesystem::path& folder_or_file, const std::vector<const Lora*>& loras,
                double strength = 1);

/// The same in Kohya's form, by the names that its scripts give to this pipeline's layers: SDXL's are others, see
/// kohya_names.
void save_loras_kohya(const std::filesystem::path& file, const std::vector<const Lora*>& loras,
                      StableDiffusion& pipeline);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/pipeline_lora.ipp>
#endif
