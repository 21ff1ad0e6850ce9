// Definitions of original_layout.hpp.
#pragma once
#include <reward_tuner/models/original_layout.hpp>

#include <ATen/ops/cat.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/safetensors_header.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/lora/lora_names.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::string family_name(ModelFamily family) {
  switch (family) {
    case ModelFamily::kSd1:
      return "Stable Diffusion 1";
    case ModelFamily::kSd2:
      return "Stable Diffusion 2";
    case ModelFamily::kSdxl:
      break;
  }
  return "Stable Diffusion XL";
}

REWARD_TUNER_INLINE std::vector<OriginalPart> original_parts(ModelFamily family) {
  std::vector<OriginalPart> parts = {{"unet", "model.diffusion_model.", OriginalTable::kUnet},
                                     {"vae", "first_stage_model.", OriginalTable::kVae}};
  switch (family) {
    case ModelFamily::kSd1:
      parts.push_back({"text_encoder", "cond_stage_model.transformer.", OriginalTable::kClip});
      break;
    case ModelFamily::kSd2:
      parts.push_back({"text_encoder", "cond_stage_model.model.", OriginalTable::kOpenClip});
      break;
    case ModelFamily::kSdxl:
      parts.push_back({"text_encoder", "conditioner.embedders.0.transformer.", OriginalTable::kClip});
      parts.push_back({"text_encoder_2", "conditioner.embedders.1.model.", OriginalTable::kOpenClip});
      break;
  }
  return parts;
}

namespace detail {

/// A beginning and what stands for it in the other layout.
using NamePair = std::pair<std::string_view, std::string_view>;

/// `name` with its beginning replaced by the first pair that fits, a whole word or up to the pair's final dot.
template <std::size_t N>
std::optional<std::string> renamed(const std::string& name, const std::array<NamePair, N>& pairs) {
  for (const auto& [ours, theirs] : pairs)
    if (name.starts_with(ours) && (name.size() == ours.size() || ours.ends_with('.') || name[ours.size()] == '.'))
      return std::string(theirs) + name.substr(ours.size());
  return std::nullopt;
}

/// The number at `begin` and where it ends; nothing if there is none.
inline std::optional<std::pair<int, std::size_t>> number_at(const std::string& name, std::size_t begin) {
  const std::size_t end = std::min(name.find_first_not_of("0123456789", begin), name.size());
  if (end == begin || end - begin > 4) return std::nullopt;
  return std::pair(std::stoi(name.substr(begin, end - begin)), end);
}

/// "block.N.rest" after `beginning`: the number and the rest with its dot.
inline std::optional<std::pair<int, std::string>> numbered(const std::string& name, std::string_view beginning) {
  if (!name.starts_with(beginning)) return std::nullopt;
  const auto number = number_at(name, beginning.size());
  if (!number) return std::nullopt;
  return std::pair(number->first, name.substr(number->second));
}

inline std::optional<std::string> original_resnet(const std::string& rest) {  // ".0.conv1.weight"
  const auto shortcut = rest.find(".conv_shortcut.");
  if (shortcut == std::string::npos) return rest;
  return rest.substr(0, shortcut) + ".nin_shortcut." +
         rest.substr(shortcut + std::string_view(".conv_shortcut.").size());
}

inline std::optional<OriginalWeight> original_vae_weight(const std::string& name, int levels) {
  static constexpr std::array<NamePair, 2> kNorms{
      {{"encoder.conv_norm_out", "encoder.norm_out"}, {"decoder.conv_norm_out", "decoder.norm_out"}}};
  static constexpr std::array<NamePair, 5> kAttention{
      {{"group_norm", "norm"}, {"to_q", "q"}, {"to_k", "k"}, {"to_v", "v"}, {"to_out.0", "proj_out"}}};
  if (const auto norm = renamed(name, kNorms)) return OriginalWeight{*norm};
  for (const std::string half : {"encoder.", "decoder."}) {
    if (!name.starts_with(half)) continue;
    const std::string attention = half + "mid_block.attentions.0.";
    if (name.starts_with(attention)) {
      const auto inner = renamed(name.substr(attention.size()), kAttention);
      if (!inner) return std::nullopt;
      const bool kernel = inner->ends_with(".weight") && !inner->starts_with("norm");
      return OriginalWeight{half + "mid.attn_1." + *inner, kernel ? OriginalForm::kKernel : OriginalForm::kSame};
    }
    if (const auto block = numbered(name, half + "mid_block.resnets."))
      return OriginalWeight{half + "mid.block_" + std::to_string(block->first + 1) + *original_resnet(block->second)};
    const bool down = half == "encoder.";
    const auto level = numbered(name, half + (down ? "down_blocks." : "up_blocks."));
    if (!level) continue;
    const std::string place =
        half + (down ? "down." : "up.") + std::to_string(down ? level->first : levels - 1 - level->first);
    const std::array<NamePair, 2> kinds{
        {{".resnets", ".block"}, {down ? ".downsamplers.0" : ".upsamplers.0", down ? ".downsample" : ".upsample"}}};
    if (const auto rest = renamed(level->second, kinds)) return OriginalWeight{place + *original_resnet(*rest)};
    return std::nullopt;
  }
  static constexpr std::array<std::string_view, 6> kSame{"encoder.conv_in.",  "encoder.conv_out.", "decoder.conv_in.",
                                                         "decoder.conv_out.", "quant_conv.",       "post_quant_conv."};
  for (const auto same : kSame)
    if (name.starts_with(same)) return OriginalWeight{name};
  return std::nullopt;
}

inline std::optional<OriginalWeight> original_open_clip_weight(const std::string& name) {
  static constexpr std::array<NamePair, 9> kEnds{
      {{"text_model.embeddings.token_embedding", "token_embedding"},
       {"text_model.embeddings.position_embedding.weight", "positional_embedding"},
       {"text_model.final_layer_norm", "ln_final"},
       {"logit_scale", "logit_scale"},
       {"vision_model.embeddings.class_embedding", "visual.class_embedding"},
       {"vision_model.embeddings.patch_embedding", "visual.conv1"},
       {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"},
       {"vision_model.pre_layrnorm", "visual.ln_pre"},
       {"vision_model.post_layernorm", "visual.ln_post"}}};
  static constexpr std::array<NamePair, 8> kLayer{{{".layer_norm1", ".ln_1"},
                                                   {".layer_norm2", ".ln_2"},
                                                   {".mlp.fc1", ".mlp.c_fc"},
                                                   {".mlp.fc2", ".mlp.c_proj"},
                                                   {".self_attn.out_proj", ".attn.out_proj"},
                                                   {".self_attn.q_proj.", ".attn.in_proj_"},
                                                   {".self_attn.k_proj.", ".attn.in_proj_"},
                                                   {".self_attn.v_proj.", ".attn.in_proj_"}}};
  if (name == "text_projection.weight") return OriginalWeight{"text_projection", OriginalForm::kTransposed};
  if (name == "visual_projection.weight") return OriginalWeight{"visual.proj", OriginalForm::kTransposed};
  if (const auto end = renamed(name, kEnds)) return OriginalWeight{*end};
  const bool vision = name.starts_with("vision_model.");
  const auto layer = numbered(name, vision ? "vision_model.encoder.layers." : "text_model.encoder.layers.");
  const auto inner = layer ? renamed(layer->second, kLayer) : std::nullopt;
  if (!inner) return std::nullopt;
  const auto has = [&](const char* which) { return name.find(which) != std::string::npos; };
  const OriginalForm form = has(".q_proj.")   ? OriginalForm::kQuery
                            : has(".k_proj.") ? OriginalForm::kKey
                            : has(".v_proj.") ? OriginalForm::kValue
                                              : OriginalForm::kSame;
  return OriginalWeight{
      (vision ? "visual.transformer.resblocks." : "transformer.resblocks.") + std::to_string(layer->first) + *inner,
      form};
}

/// "conv_in.weight" in "conv_in" and ".weight".
inline std::pair<std::string, std::string> split_weight_name(const std::string& name) {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? std::pair(name, std::string()) : std::pair(name.substr(0, dot), name.substr(dot));
}

}  // namespace detail

REWARD_TUNER_INLINE std::map<std::string, OriginalWeight> original_weights(OriginalTable table,
                                                                           const std::vector<std::string>& names) {
  std::map<std::string, std::string> unet;  // our path -> theirs
  int levels = 0;                           // of a decoder
  if (table == OriginalTable::kUnet) {
    std::vector<std::string> paths;
    for (const auto& name : names) paths.push_back(detail::split_weight_name(name).first);
    unet = detail::original_unet_names(paths);
  }
  for (const auto& name : names)
    if (const auto level = detail::numbered(name, "decoder.up_blocks.")) levels = std::max(levels, level->first + 1);
  const auto place = [&](const std::string& name) -> std::optional<OriginalWeight> {
    switch (table) {
      case OriginalTable::kUnet: {
        const auto [path, ending] = detail::split_weight_name(name);
        const auto found = unet.find(path);
        return found == unet.end() ? std::nullopt : std::optional(OriginalWeight{found->second + ending});
      }
      case OriginalTable::kVae:
        return detail::original_vae_weight(name, levels);
      case OriginalTable::kOpenClip:
        return detail::original_open_clip_weight(name);
      case OriginalTable::kClip:
        break;
    }
    return OriginalWeight{name};
  };
  std::map<std::string, OriginalWeight> places;
  std::vector<std::string> strange;
  for (const auto& name : names) {
    if (auto found = place(name)) places.emplace(name, std::move(*found));
    else strange.push_back(detail::shortened(name));
  }
  REWARD_TUNER_CHECK(strange.empty(), "[SingleFile] expected weights that the original layout has, got others",
                     detail::problem_list("of them", strange));
  return places;
}

REWARD_TUNER_INLINE Tensor from_original(const Tensor& stored, OriginalForm form) {
  const auto third = [&](std::int64_t which) {
    REWARD_TUNER_CHECK(stored.dim() >= 1 && stored.size(0) % 3 == 0,
                       "[SingleFile] expected the rows of three layers in one tensor, got the shape ", stored.sizes());
    return stored.narrow(0, which * (stored.size(0) / 3), stored.size(0) / 3);
  };
  switch (form) {
    case OriginalForm::kKernel:
      REWARD_TUNER_CHECK(stored.dim() == 2 || (stored.dim() == 4 && stored.size(2) == 1 && stored.size(3) == 1),
                         "[SingleFile] expected a 1x1 convolution [O,I,1,1], got the shape ", stored.sizes());
      return stored.dim() == 2 ? stored : stored.flatten(1);  // [O,I]
    case OriginalForm::kQuery:
      return third(0);
    case OriginalForm::kKey:
      return third(1);
    case OriginalForm::kValue:
      return third(2);
    case OriginalForm::kTransposed:
      REWARD_TUNER_CHECK(stored.dim() == 2, "[SingleFile] expected a matrix, got the shape ", stored.sizes());
      return stored.t();  // [P,D]
    case OriginalForm::kSame:
      break;
  }
  return stored;
}

REWARD_TUNER_INLINE std::map<std::string, Tensor> to_original(const OriginalPart& part,
                                                              const std::map<std::string, Tensor>& weights) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : weights) names.push_back(name);
  std::map<std::string, Tensor> stored;
  std::map<std::string, std::array<Tensor, 3>> fused;
  for (const auto& [name, place] : original_weights(part.table, names)) {
    const Tensor& tensor = weights.at(name);
    const std::string key = part.prefix + place.key;
    switch (place.form) {
      case OriginalForm::kSame:
        stored[key] = tensor;
        break;
      case OriginalForm::kKernel:
        stored[key] = tensor.unsqueeze(-1).unsqueeze(-1);  // [O,I,1,1]
        break;
      case OriginalForm::kTransposed:
        stored[key] = tensor.t();  // [D,P]
        break;
      case OriginalForm::kQuery:
      case OriginalForm::kKey:
      case OriginalForm::kValue:
        fused[key][static_cast<std::size_t>(place.form) - static_cast<std::size_t>(OriginalForm::kQuery)] = tensor;
        break;
    }
  }
  for (const auto& [key, thirds] : fused) {
    for (const Tensor& third : thirds)
      REWARD_TUNER_CHECK(third.defined(), "[SingleFile] expected the query, key and value of ", detail::shortened(key),
                         ", got only some of them");
    stored[key] = at::cat({thirds[0], thirds[1], thirds[2]});  // [3D,...]
  }
  return stored;
}

}  // namespace reward_tuner
