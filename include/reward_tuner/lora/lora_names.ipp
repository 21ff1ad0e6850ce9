// Definitions of lora_names.hpp.
#pragma once
#include <reward_tuner/lora/lora_names.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/safetensors_header.hpp>

namespace reward_tuner {

namespace detail {

/// How the names of a part begin in Kohya's files; the first is what `kohya_name` writes.
inline std::vector<std::string> kohya_prefixes(const std::string& part) {
  if (part == "text_encoder") return {"lora_te_", "lora_te1_"};
  if (part == "text_encoder_2") return {"lora_te2_"};
  return {"lora_" + part + "_"};
}

inline std::string underscored(std::string path) {
  std::replace(path.begin(), path.end(), '.', '_');
  return path;
}

REWARD_TUNER_INLINE bool lora_target_matches(const std::string& path, const std::string& target) {
  return path == target || path.ends_with("." + target);
}

REWARD_TUNER_INLINE std::optional<LoraKey> split_lora_key(const std::string& key) {
  struct Ending {
    std::string_view text;
    LoraPart part;
  };
  static constexpr std::array<Ending, 13> kEndings{{{".lora_A.weight", LoraPart::kDown},
                                                    {".lora_B.weight", LoraPart::kUp},
                                                    {".lora_A.default.weight", LoraPart::kDown},
                                                    {".lora_B.default.weight", LoraPart::kUp},
                                                    {".lora.down.weight", LoraPart::kDown},
                                                    {".lora.up.weight", LoraPart::kUp},
                                                    {".lora_linear_layer.down.weight", LoraPart::kDown},
                                                    {".lora_linear_layer.up.weight", LoraPart::kUp},
                                                    {".lora_down.weight", LoraPart::kDown},
                                                    {".lora_up.weight", LoraPart::kUp},
                                                    {"_lora.down.weight", LoraPart::kDown},
                                                    {"_lora.up.weight", LoraPart::kUp},
                                                    {".alpha", LoraPart::kAlpha}}};
  for (const auto& ending : kEndings)
    if (key.ends_with(ending.text)) return LoraKey{key.substr(0, key.size() - ending.text.size()), ending.part};
  return std::nullopt;
}

REWARD_TUNER_INLINE std::string_view foreign_adapter(std::string_view key) {
  struct Mark {
    std::string_view text, kind;
  };
  static constexpr std::array<Mark, 24> kMarks{{{"lora_magnitude_vector", "a DoRA"},
                                                {".dora_scale", "a DoRA"},
                                                {".hada_", "a LoHa"},
                                                {".lokr_", "a LoKr"},
                                                {".lora_mid.", "a LoCon with a Tucker core (lora_mid)"},
                                                {"boft_", "a BOFT"},
                                                {".oft_", "an OFT"},
                                                {".lora_E", "an AdaLoRA"},
                                                {"ia3_l", "an IA3"},
                                                {".on_input", "an IA3"},
                                                {"vera_lambda", "a VeRA"},
                                                {"randlora_", "a RandLora"},
                                                {"fourierft_", "a FourierFT"},
                                                {".hra_u", "an HRA"},
                                                {".a1.weight", "a GLoRA"},
                                                {".b1.weight", "a GLoRA"},
                                                {".scalar", "a LyCORIS adapter with learned scalars"},
                                                {".diff", "a set of whole weight differences (diff)"},
                                                {"_norm", "a LyCORIS adapter of norm layers"},
                                                {"lora_embedding_", "a LoRA on embeddings"},
                                                {"bundle_emb.", "a LoRA with bundled embeddings"},
                                                {"modules_to_save", "a LoRA with whole layers beside it"},
                                                {"lora_bias", "a LoRA with biases"},
                                                {".bias", "a LoRA with biases"}}};
  for (const auto& mark : kMarks) {
    const bool ends = mark.text == ".bias" || mark.text == "_norm";
    if (ends ? key.ends_with(mark.text) : key.find(mark.text) != std::string_view::npos) return mark.kind;
  }
  return {};
}

/// "down_blocks.1.resnets.0.conv1" in parts; `rest` is what follows the item. The middle block has no level.
struct UnetPath {
  std::string block, kind, rest;
  int level = 0, item = 0;
};

inline std::optional<UnetPath> split_unet_path(const std::string& path) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  while (words.size() < 4 && begin != std::string::npos) {
    const auto end = path.find('.', begin);
    words.push_back(path.substr(begin, end - begin));
    begin = end == std::string::npos ? end : end + 1;
    if (words[0] == "mid_block" && words.size() == 1) words.push_back("0");
  }
  const auto number = [](const std::string& word) {
    return !word.empty() && word.size() <= 3 && word.find_first_not_of("0123456789") == std::string::npos;
  };
  if (begin == std::string::npos || words.size() < 4 || !number(words[1]) || !number(words[3])) return std::nullopt;
  return UnetPath{words[0], words[2], path.substr(begin), std::stoi(words[1]), std::stoi(words[3])};
}

REWARD_TUNER_INLINE std::map<std::string, std::string> original_unet_names(const std::vector<std::string>& paths) {
  static const std::map<std::string, std::string> kEnds = {{"conv_in", "input_blocks.0.0"},
                                                           {"conv_norm_out", "out.0"},
                                                           {"conv_out", "out.2"},
                                                           {"time_embedding.linear_1", "time_embed.0"},
                                                           {"time_embedding.linear_2", "time_embed.2"},
                                                           {"add_embedding.linear_1", "label_emb.0.0"},
                                                           {"add_embedding.linear_2", "label_emb.0.2"}};
  static const std::map<std::string, std::string> kResnet = {
      {"norm1", "in_layers.0"},          {"conv1", "in_layers.2"},  {"norm2", "out_layers.0"},
      {"time_emb_proj", "emb_layers.1"}, {"conv2", "out_layers.3"}, {"conv_shortcut", "skip_connection"}};
  // An input or output block is a resnet, a resnet and an attention, or a resampler; a level has `size` of them.
  int size = 0;
  std::set<int> with_attention;  // levels of the way up
  for (const auto& path : paths)
    if (const auto p = split_unet_path(path)) {
      if (p->block == "down_blocks" && p->kind == "resnets") size = std::max(size, p->item + 2);
      if (p->block == "up_blocks" && p->kind == "attentions") with_attention.insert(p->level);
    }
  std::map<std::string, std::string> names;
  for (const auto& path : paths) {
    if (const auto end = kEnds.find(path); end != kEnds.end()) names[path] = end->second;
    const auto p = split_unet_path(path);
    if (!p) continue;
    const auto numbered = [](const char* block, int number) { return block + std::to_string(number); };
    const bool down = p->block == "down_blocks", up = p->block == "up_blocks", middle = p->block == "mid_block";
    const bool resnet = p->kind == "resnets";
    if (down && p->kind == "downsamplers") {
      names[path] = numbered("input_blocks.", (p->level + 1) * size) + ".0.op";
    } else if (up && p->kind == "upsamplers") {
      const char* slot = with_attention.count(p->level) != 0 ? ".2.conv" : ".1.conv";
      names[path] = numbered("output_blocks.", (p->level + 1) * size - 1) + slot;
    } else if ((down || up || middle) && (resnet || p->kind == "attentions")) {
      const std::string place = middle ? numbered("middle_block.", resnet ? 2 * p->item : 1)
                                : down ? numbered("input_blocks.", p->level * size + p->item + 1)
                                       : numbered("output_blocks.", p->level * size + p->item);
      const auto leaf = kResnet.find(p->rest);
      if (resnet && leaf == kResnet.end()) continue;
      names[path] = place + (middle ? "." : resnet ? ".0." : ".1.") + (resnet ? leaf->second : p->rest);
    }
  }
  return names;
}

}  // namespace detail

REWARD_TUNER_INLINE std::string kohya_name(const std::string& path, const std::string& part) {
  const std::string prefix = detail::kohya_prefixes(part).front();
  // diffusers' reader of Kohya files knows SDXL's embedding of sizes by its original name only.
  if (path == "add_embedding.linear_1") return prefix + "label_emb_0_0";
  if (path == "add_embedding.linear_2") return prefix + "label_emb_0_2";
  return prefix + detail::underscored(path);
}

REWARD_TUNER_INLINE KohyaNames kohya_names(const LoraParts& parts) {
  const bool xl = parts.contains("text_encoder_2");
  KohyaNames names;
  for (const auto& [part, paths] : parts) {
    for (const auto& path : paths)
      names[part][path] =
          xl && part == "text_encoder" ? "lora_te1_" + detail::underscored(path) : kohya_name(path, part);
    if (xl && part == "unet")
      for (const auto& [path, name] : detail::original_unet_names(paths))
        names[part][path] = "lora_unet_" + detail::underscored(name);
  }
  return names;
}

REWARD_TUNER_INLINE std::optional<std::string> claimed_lora_part(std::string_view name) {
  static constexpr std::array<std::array<std::string_view, 2>, 13> kBeginnings{{{"unet.", "unet"},
                                                                                {"text_encoder.", "text_encoder"},
                                                                                {"text_encoder_2.", "text_encoder_2"},
                                                                                {"text_encoder_3.", "text_encoder_3"},
                                                                                {"transformer.", "transformer"},
                                                                                {"prior.", "prior"},
                                                                                {"vae.", "vae"},
                                                                                {"lora_unet_", "unet"},
                                                                                {"lora_te_", "text_encoder"},
                                                                                {"lora_te1_", "text_encoder"},
                                                                                {"lora_te2_", "text_encoder_2"},
                                                                                {"lora_te3_", "text_encoder_3"},
                                                                                {"lora_prior_", "prior"}}};
  for (const auto& [beginning, part] : kBeginnings)
    if (name.starts_with(beginning)) return std::string(part);
  return std::nullopt;
}

REWARD_TUNER_INLINE LoraNames::LoraNames(const LoraParts& parts) {
  const std::string classic = "text_model.";
  for (const auto& [part, paths] : parts) {
    auto& spellings = paths_[part];
    const auto put = [&, &part = part](const std::string& path, const std::string& name) {
      for (const auto& prefix : detail::kohya_prefixes(part)) {
        const auto [place, is_new] = kohya_.emplace(prefix + detail::underscored(name), LoraPlace{part, path});
        REWARD_TUNER_CHECK(is_new || place->second.path == path, "[LoRA] two layers share the Kohya name ",
                           place->first);
      }
    };
    for (const auto& path : paths) {
      spellings[path] = path;
      if (path.starts_with(classic)) spellings[path.substr(classic.size())] = path;
      put(path, path);
    }
    if (part == "unet")
      for (const auto& [path, name] : detail::original_unet_names(paths)) put(path, name);
  }
}

REWARD_TUNER_INLINE std::optional<LoraPlace> LoraNames::find(const std::string& name) const {
  if (const auto found = kohya_.find(name); found != kohya_.end()) return found->second;
  const std::string_view wrapper = "base_model.model.";  // of peft's own model class
  std::string path = name.starts_with(wrapper) ? name.substr(wrapper.size()) : name;
  for (const auto& item : paths_)
    if (path.starts_with(item.first + ".")) {
      path.erase(0, item.first.size() + 1);
      return find_path(item.first, path.starts_with(wrapper) ? path.substr(wrapper.size()) : path);
    }
  std::optional<LoraPlace> place;
  for (const auto& item : paths_)
    if (auto found = find_path(item.first, path)) {
      REWARD_TUNER_CHECK(!place, "[LoRA] the name ", detail::shortened(name), " fits a layer of ", place->part,
                         " and one of ", found->part, ": expected names that say the part");
      place = std::move(found);
    }
  return place;
}

REWARD_TUNER_INLINE std::optional<LoraPlace> LoraNames::find_path(const std::string& part, std::string path) const {
  static const std::string kProcessor = ".processor.";
  static constexpr std::array<std::array<std::string_view, 2>, 4> kOldText{
      {{".to_q", ".q_proj"}, {".to_k", ".k_proj"}, {".to_v", ".v_proj"}, {".to_out", ".out_proj"}}};
  if (const auto at = path.find(kProcessor); at != std::string::npos) path.erase(at, kProcessor.size() - 1);
  std::vector<std::string> candidates = {path};
  if (path.ends_with(".to_out")) candidates.push_back(path + ".0");
  for (const auto& [old, now] : kOldText)
    if (path.ends_with(old)) candidates.push_back(path.substr(0, path.size() - old.size()) + std::string(now));
  const auto& spellings = paths_.at(part);
  for (const auto& candidate : candidates)
    if (const auto found = spellings.find(candidate); found != spellings.end()) return LoraPlace{part, found->second};
  return std::nullopt;
}

}  // namespace reward_tuner
