// The file formats of low-rank adapters: reads what peft, diffusers and Kohya's scripts write, writes the forms of
// diffusers/peft and of Kohya.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/lora/lora_names.hpp>

namespace reward_tuner {

/// The adapters of a network by layer path ("down_blocks.0.attentions.0...to_q"). `scale` is alpha / rank.
using LoraLayers = std::map<std::string, LowRank>;

/// The name that diffusers gives to the file inside a folder.
inline constexpr const char* kLoraFileName = "pytorch_lora_weights.safetensors";

/// The LoRA file that a path means: a file itself; in a folder diffusers' name, else adapter_model.safetensors (peft),
/// else the only .safetensors file that is not an optimizer's, a scheduler's or a checkpoint's.
/// Errors: nothing there; several files to choose from; pickle files only (.bin, .pt, .pth, .ckpt), with what to do.
std::filesystem::path find_lora_file(const std::filesystem::path& folder_or_file);

/// Reads the adapters of the parts of a pipeline, as views of the mapped file. Names: see LoraNames. Alpha: the layer's
/// ".alpha", else peft's settings (adapter_config.json beside the file, or lora_adapter_metadata in its header, see
/// PeftConfig), else the rank. The rank is the tensor's.
/// Returns the parts that the file adapts, at least one. Errors: other adapters than LoRA (DoRA, LoHa, LoKr, biases,
/// ...), by name; names that match no layer; a factor without its partner; ranks that disagree.
std::map<std::string, LoraLayers> read_lora(const std::filesystem::path& folder_or_file, const LoraParts& parts);

/// Where a file of diffusers' form has a layer's scale.
enum class LoraAlpha {
  kFolded,  ///< in the up factor, so that alpha = rank: every reader gets it
  kStated   ///< in lora_adapter_metadata, the factors as they are: peft and diffusers since 0.34 read it
};

/// Writes the form that diffusers' and peft's loaders take, to `folder_or_file` (a folder is made if needed): every
/// part's names begin with the part. With kFolded the values equal the ones in memory bit for bit if alpha / rank is a
/// power of two (1 by default), with kStated always. `targets` is what a part's target_modules will say; without, every
/// layer's path, a text encoder's without "text_model.". Errors: no layer.
void write_lora(const std::filesystem::path& folder_or_file, const std::map<std::string, LoraLayers>& parts,
                const std::map<std::string, std::vector<std::string>>& targets = {},
                LoraAlpha alpha = LoraAlpha::kFolded);

/// Writes the form of Kohya's scripts, which web UIs and stable-diffusion.cpp read: the factors as they are and one
/// ".alpha" per layer. `names` are those of the layers, by default `kohya_name`. Errors: no layer, two layers of one
/// name.
void write_lora_kohya(const std::filesystem::path& file, const std::map<std::string, LoraLayers>& parts,
                      const KohyaNames& names = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/lora/lora_files.ipp>
#endif
