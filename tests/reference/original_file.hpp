// Minuscule models in the original layout of Stable Diffusion, all in one file: random weights of every family, with
// config/ beside it.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/known_configurations.hpp>
#include <reward_tuner/models/original_layout.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

namespace reward_tuner::reference {

/// The networks of a minuscule model by part, and their configurations.
struct TinyParts {
  std::map<std::string, std::shared_ptr<torch::nn::Module>> networks{};
  std::map<std::string, nlohmann::json> configs{};
};

inline TinyParts tiny_parts(ModelFamily family, std::int64_t vocabulary, std::uint64_t seed = 0) {
  const bool xl = family == ModelFamily::kSdxl, open_clip = family == ModelFamily::kSd2;
  TinyParts parts;
  const auto put = [&](const std::string& part, std::shared_ptr<torch::nn::Module> network, nlohmann::json config) {
    Rng rng(seed + parts.networks.size());
    initialize(*network, rng);
    parts.networks[part] = std::move(network);
    parts.configs[part] = std::move(config);
  };
  std::int64_t width = 0;
  for (const std::string end : {"", "_2"}) {
    if (!xl && !end.empty()) break;
    ClipTextConfig text;
    text.hidden_size = end.empty() ? 16 : 8;
    text.intermediate_size = 24;
    text.num_hidden_layers = 2;
    text.num_attention_heads = 2;
    text.hidden_act = open_clip || !end.empty() ? "gelu" : "quick_gelu";
    text.max_position_embeddings = 12;
    text.vocab_size = vocabulary;
    text.projection_dim = 4;
    text.eos_token_id = vocabulary - 1;
    width += text.hidden_size;
    put("text_encoder" + end, std::make_shared<ClipTextModel>(text, !end.empty()), text.to_json());
  }
  UNet2DConditionConfig unet;
  unet.sample_size = 8;
  unet.down_block_types = {"DownBlock2D", "CrossAttnDownBlock2D"};
  unet.up_block_types = {"CrossAttnUpBlock2D", "UpBlock2D"};
  unet.block_out_channels = {8, 16};
  unet.layers_per_block = {2, 2};
  unet.norm_num_groups = 4;
  unet.cross_attention_dim = {width, width};
  unet.transformer_layers_per_block = {1, 2};
  unet.attention_head_dim = {2, 2};
  unet.use_linear_projection = family != ModelFamily::kSd1;
  if (xl) {
    unet.text_time_embedding = true;
    unet.addition_time_embed_dim = 4;
    unet.projection_class_embeddings_input_dim = 4 + 6 * 4;
  }
  put("unet", std::make_shared<UNet2DConditionModel>(unet), unet.to_json());
  AutoencoderKLConfig vae;
  vae.block_out_channels = {8, 8};
  vae.layers_per_block = 1;
  vae.norm_num_groups = 4;
  vae.sample_size = 16;
  vae.scaling_factor = 1.0;
  put("vae", std::make_shared<AutoencoderKL>(vae), vae.to_json());
  return parts;
}

/// The tensors of one file, with what a published one has beside the weights of the parts.
inline std::map<std::string, Tensor> original_tensors(ModelFamily family, const TinyParts& parts) {
  std::map<std::string, Tensor> all{{"alphas_cumprod", at::rand({10})}};
  for (const auto& part : original_parts(family)) {
    all.merge(to_original(part, state_dict(*parts.networks.at(part.part))));
    if (part.table == OriginalTable::kClip)
      all[part.prefix + "text_model.embeddings.position_ids"] = at::arange(12).unsqueeze(0);
    if (part.table == OriginalTable::kOpenClip) all[part.prefix + "logit_scale"] = at::full({}, 4.6);
    if (family == ModelFamily::kSd2 && part.part == "text_encoder") {
      all[part.prefix + "text_projection"] = at::rand({16, 16});
      all[part.prefix + "transformer.resblocks.2.ln_1.weight"] = at::rand({16});
    }
  }
  return all;
}

/// config/ as a diffusers folder without weights. `tokenizer` is a folder with vocab.json and merges.txt.
inline void write_tiny_config(const std::filesystem::path& folder, ModelFamily family, const TinyParts& parts,
                              const std::filesystem::path& tokenizer) {
  const KnownModel like = family == ModelFamily::kSd1   ? KnownModel::kSd15
                          : family == ModelFamily::kSd2 ? KnownModel::kSd21
                                                        : KnownModel::kSdxlBase;
  for (const auto& [part, config] : parts.configs) {
    std::filesystem::create_directories(folder / part);
    write_json(folder / part / "config.json", config);
  }
  std::filesystem::create_directories(folder / "scheduler");
  write_json(folder / "scheduler" / "scheduler_config.json", known_configuration(like, "scheduler"));
  write_json(folder / "model_index.json", known_configuration(like, "model_index"));
  std::filesystem::copy(tokenizer, folder / "tokenizer", std::filesystem::copy_options::recursive);
  if (family == ModelFamily::kSdxl)
    std::filesystem::copy(tokenizer, folder / "tokenizer_2", std::filesystem::copy_options::recursive);
}

}  // namespace reward_tuner::reference
