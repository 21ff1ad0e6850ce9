// The names that programs give to the layers of a low-rank adapter: peft, diffusers old and new, Kohya.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reward_tuner {

/// The adaptable layers of networks by the part of the pipeline that a network is: "unet", "text_encoder",
/// "text_encoder_2".
using LoraParts = std::map<std::string, std::vector<std::string>>;

/// A layer of a part: {"unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"}.
struct LoraPlace {
  std::string part, path;
};

/// Finds the layer that a name in a file means.
/// Names: "<part>.<path>" (peft, diffusers), "base_model.model.<path>" (peft's own files), "<path>", "lora_unet_",
/// "lora_te_", "lora_te1_" and "lora_te2_" with the path and underscores for its dots (Kohya), the UNet's path as in
/// the original layout of Stable Diffusion too ("lora_unet_input_blocks_4_1_..."), "....processor.to_q" for the
/// attention layers of the oldest diffusers, which also writes to_q for a text encoder's q_proj; a text encoder's path
/// with or without "text_model.".
/// Errors: two layers of one name.
class LoraNames {
 public:
  explicit LoraNames(const LoraParts& parts);
  /// The layer of a name without its ending (see `split_lora_key`), or nothing. Errors: a name that fits two parts.
  std::optional<LoraPlace> find(const std::string& name) const;

 private:
  std::optional<LoraPlace> find_path(const std::string& part, std::string path) const;

  std::map<std::string, std::map<std::string, std::string>> paths_;  // part -> spelling -> path
  std::map<std::string, LoraPlace> kohya_;
};

/// Kohya's name of a layer: "lora_unet_" or "lora_te_" and the path with underscores.
std::string kohya_name(const std::string& path, const std::string& part);

/// Kohya's names of layers by part and path.
using KohyaNames = std::map<std::string, std::map<std::string, std::string>>;

/// Kohya's names of all layers of a pipeline: `kohya_name`, but of SDXL, which has a part "text_encoder_2", "lora_te1_"
/// for the first text encoder and the UNet's names in the original layout, as its scripts write them.
KohyaNames kohya_names(const LoraParts& parts);

/// The part that a name in a file claims by its beginning ("unet.", "lora_te_", ...), or nothing.
std::optional<std::string> claimed_lora_part(std::string_view name);

namespace detail {

/// peft's rule for target names: the whole path, or its end after a dot.
bool lora_target_matches(const std::string& path, const std::string& target);

enum class LoraPart { kDown, kUp, kAlpha };
struct LoraKey {
  std::string stem;
  LoraPart part;
};

/// Splits a key of the file into the layer's name as the file spells it and the part of the adapter.
std::optional<LoraKey> split_lora_key(const std::string& key);

/// What kind of adapter a key belongs to that is not a plain LoRA's ("DoRA", "LoHa", ...), or "".
std::string_view foreign_adapter(std::string_view key);

/// The names of a UNet's layers, norms included, in the original layout of Stable Diffusion, by path. A path that the
/// layout does not have is left out.
std::map<std::string, std::string> original_unet_names(const std::vector<std::string>& paths);

}  // namespace detail

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/lora/lora_names.ipp>
#endif
