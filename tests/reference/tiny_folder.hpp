// Writes a minuscule Stable Diffusion folder with random weights: 16x16 images, 8x8 latents, loaded and sampled in
// milliseconds.
#pragma once
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <system_error>

#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/initialize.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

namespace reward_tuner::reference {

/// A temporary folder, removed at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> counter{0};
    path_ = std::filesystem::temp_directory_path() /
            ("reward-tuner-" + std::to_string(::getpid()) + "-" + std::to_string(counter++));
    std::filesystem::create_directory(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Writes the folder. `tokenizer` is a folder with vocab.json and merges.txt (tests/golden/tokenizer).
inline void write_tiny_model(const std::filesystem::path& folder, const std::filesystem::path& tokenizer,
                             std::uint64_t seed = 0, PipelineFamily family = PipelineFamily::kStableDiffusion) {
  const bool xl = family == PipelineFamily::kStableDiffusionXL;
  for (const char* part : {"unet", "vae", "text_encoder", "scheduler"})
    std::filesystem::create_directories(folder / part);
  std::filesystem::copy(tokenizer, folder / "tokenizer", std::filesystem::copy_options::recursive);
  const auto vocabulary = read_json(tokenizer / "vocab.json");
  Rng rng(seed);
  const auto write = [&](torch::nn::Module& module, const nlohmann::json& config, const char* part, const char* file) {
    initialize(module, rng);
    write_json(folder / part / "config.json", config);
    save_safetensors(folder / part / file, state_dict(module));
  };

  UNet2DConditionConfig unet;
  unet.sample_size = 8;
  unet.down_block_types = {"DownBlock2D", "CrossAttnDownBlock2D"};
  unet.up_block_types = {"CrossAttnUpBlock2D", "UpBlock2D"};
  unet.block_out_channels = {8, 16};
  unet.layers_per_block = {1, 1};
  unet.norm_num_groups = 4;
  unet.cross_attention_dim = {16, 16};
  unet.transformer_layers_per_block = {1, 1};
  unet.attention_head_dim = {2, 2};
  if (xl) {
    unet.cross_attention_dim = {24, 24};  // of both text encoders
    unet.transformer_layers_per_block = {1, 2};
    unet.use_linear_projection = unet.text_time_embedding = true;
    unet.addition_time_embed_dim = 4;
    unet.projection_class_embeddings_input_dim = 10 + 6 * 4;
  }
  UNet2DConditionModel network(unet);
  write(network, unet.to_json(), "unet", "diffusion_pytorch_model.safetensors");

  AutoencoderKLConfig vae;
  vae.block_out_channels = {8, 8};
  vae.layers_per_block = 1;
  vae.norm_num_groups = 4;
  vae.sample_size = 16;
  vae.scaling_factor = 1.0;
  AutoencoderKL autoencoder(vae);
  write(autoencoder, vae.to_json(), "vae", "diffusion_pytorch_model.safetensors");

  ClipTextConfig text;
  text.hidden_size = 16;
  text.intermediate_size = 32;
  text.num_hidden_layers = 1;
  text.num_attention_heads = 2;
  text.max_position_embeddings = 12;
  text.vocab_size = static_cast<std::int64_t>(vocabulary.size());
  text.eos_token_id = vocabulary.at("<|endoftext|>").get<std::int64_t>();
  if (xl) text.num_hidden_layers = 2;  // the last one is not used
  ClipTextModel encoder(text, /*with_projection=*/false);
  write(encoder, text.to_json(), "text_encoder", "model.safetensors");

  write_json(folder / "scheduler" / "scheduler_config.json", to_json(NoiseScheduleConfig{}));
  write_json(folder / "model_index.json",
             {{"_class_name", xl ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline"}});
  if (!xl) return;

  std::filesystem::create_directories(folder / "text_encoder_2");
  std::filesystem::copy(tokenizer, folder / "tokenizer_2");
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    nlohmann::json settings = read_json(folder / "tokenizer_2" / file);
    settings["pad_token"] = "!";
    write_json(folder / "tokenizer_2" / file, settings);
  }
  text.hidden_size = 8;
  text.intermediate_size = 16;
  text.hidden_act = "gelu";
  text.projection_dim = 10;
  ClipTextModel second(text, /*with_projection=*/true);
  write(second, text.to_json(), "text_encoder_2", "model.safetensors");
}

}  // namespace reward_tuner::reference
