// The file formats of low-rank adapters: reads the names of peft, older diffusers and Kohya, writes those of
// peft/diffusers and Kohya.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>

namespace reward_tuner {

/// The adapters of a network by layer path ("down_blocks.0.attentions.0...to_q"). `scale` is alpha / rank.
using LoraLayers = std::map<std::string, LowRank>;

/// The name that diffusers gives to the file inside a folder.
inline constexpr const char* kLoraFileName = "pytorch_lora_weights.safetensors";

namespace detail {

bool ends_with(std::string_view text, std::string_view ending);

/// peft's rule for target names: the whole path, or its end after a dot.
bool lora_target_matches(const std::string& path, const std::string& target);

enum class LoraPart { kDown, kUp, kAlpha };
struct LoraKey {
  std::string stem;
  LoraPart part;
};

/// Splits a key of the file into the layer's name as the file spells it and the part of the adapter.
std::optional<LoraKey> split_lora_key(const std::string& key);

}  // namespace detail

/// Reads an adapter for a network whose adaptable layers are `paths`, as views of the mapped file.
/// Names: "<prefix>.<path>.lora_A.weight" (peft), "<prefix>.<path>.lora.down.weight" and
/// "...processor.to_q_lora.down.weight" (older diffusers), "lora_unet_<path with underscores>.lora_down.weight"
/// (Kohya). Alpha: the layer's ".alpha", else lora_adapter_metadata, else the rank. Errors: names that match no layer,
/// a factor without its partner, ranks that disagree, adapters that are not plain LoRA.
LoraLayers read_lora(const std::filesystem::path& folder_or_file, const std::vector<std::string>& paths,
                     const std::string& prefix = "unet");

/// Writes the form that diffusers' and peft's loaders take, to `folder_or_file` (a folder is made if needed). The scale
/// goes into the up factor, so that alpha = rank; the values then equal the ones in memory bit for bit if alpha / rank
/// is a power of two (1 by default). `targets` is what target_modules will say; empty writes every layer's full path.
void write_lora(const std::filesystem::path& folder_or_file, const LoraLayers& layers,
                const std::string& prefix = "unet", const std::vector<std::string>& targets = {});

/// Writes the form of Kohya's scripts, which web UIs and stable-diffusion.cpp read: the factors as they are and one
/// ".alpha" per layer.
void write_lora_kohya(const std::filesystem::path& file, const LoraLayers& layers, const std::string& prefix = "unet");

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/lora/lora_files.ipp>
#endif
