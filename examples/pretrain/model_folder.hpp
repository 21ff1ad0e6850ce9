// Writes the trained networks as a diffusers folder, with the CLIP beside it in clip/.
#pragma once
#include <filesystem>
#include <memory>

#include <nlohmann/json.hpp>

#include <examples/pretrain/bpe_trainer.hpp>
#include <examples/pretrain/tiny_models.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>

namespace reward_tuner::pretrain {

/// The parts of the tiny Stable Diffusion.
struct TinyModel {
  std::shared_ptr<AutoencoderKL> vae;
  std::shared_ptr<UNet2DConditionModel> unet;
  std::shared_ptr<ClipTextModel> text;
  std::shared_ptr<ClipModel> clip;  ///< may be null: then no clip/ is written
};

namespace detail {

/// A text tower's config with the keys by which transformers knows the special tokens.
inline nlohmann::json text_config_json(const ClipTextConfig& config, const BpeVocabulary& vocabulary) {
  nlohmann::json json = config.to_json();
  json["bos_token_id"] = vocabulary.start_id();
  json["pad_token_id"] = vocabulary.end_id();
  return json;
}

inline void write_network(const std::filesystem::path& folder, const char* file, const nlohmann::json& config,
                          const torch::nn::Module& network) {
  std::filesystem::create_directories(folder);
  write_json(folder / "config.json", config);
  save_safetensors(folder / file, state_dict(network));
}

}  // namespace detail

/// Writes model_index.json, scheduler/, tokenizer/, text_encoder/, unet/, vae/ and clip/ so that diffusers'
/// StableDiffusionPipeline, transformers' CLIPModel and this library load them.
inline void write_model_folder(const std::filesystem::path& folder, const TinyModel& model,
                               const BpeVocabulary& vocabulary) {
  write_tokenizer(vocabulary, folder / "tokenizer", kPromptTokens);
  detail::write_network(folder / "unet", "diffusion_pytorch_model.safetensors", model.unet->config().to_json(),
                        *model.unet);
  detail::write_network(folder / "vae", "diffusion_pytorch_model.safetensors", model.vae->config().to_json(),
                        *model.vae);
  nlohmann::json text = detail::text_config_json(model.text->config(), vocabulary);
  text["architectures"] = {"CLIPTextModel"};
  text["torch_dtype"] = "float32";
  detail::write_network(folder / "text_encoder", "model.safetensors", text, *model.text);
  std::filesystem::create_directories(folder / "scheduler");
  const NoiseScheduleConfig noise;
  write_json(folder / "scheduler" / "scheduler_config.json", {{"_class_name", "DDIMScheduler"},
                                                              {"_diffusers_version", "0.30.0"},
                                                              {"num_train_timesteps", noise.num_train_steps},
                                                              {"beta_start", noise.beta_start},
                                                              {"beta_end", noise.beta_end},
                                                              {"beta_schedule", "scaled_linear"},
                                                              {"clip_sample", false},
                                                              {"set_alpha_to_one", noise.final_alpha_one},
                                                              {"steps_offset", noise.steps_offset},
                                                              {"prediction_type", "epsilon"},
                                                              {"timestep_spacing", "leading"}});
  write_json(folder / "model_index.json", {{"_class_name", "StableDiffusionPipeline"},
                                           {"_diffusers_version", "0.30.0"},
                                           {"feature_extractor", {nullptr, nullptr}},
                                           {"image_encoder", {nullptr, nullptr}},
                                           {"safety_checker", {nullptr, nullptr}},
                                           {"requires_safety_checker", false},
                                           {"scheduler", {"diffusers", "DDIMScheduler"}},
                                           {"text_encoder", {"transformers", "CLIPTextModel"}},
                                           {"tokenizer", {"transformers", "CLIPTokenizer"}},
                                           {"unet", {"diffusers", "UNet2DConditionModel"}},
                                           {"vae", {"diffusers", "AutoencoderKL"}}});
  if (!model.clip) return;
  const ClipConfig& config = model.clip->config();
  detail::write_network(folder / "clip", "model.safetensors",
                        {{"model_type", "clip"},
                         {"architectures", {"CLIPModel"}},
                         {"torch_dtype", "float32"},
                         {"projection_dim", config.projection_dim},
                         {"logit_scale_init_value", 2.6592},
                         {"text_config", detail::text_config_json(config.text, vocabulary)},
                         {"vision_config", config.vision.to_json()}},
                        *model.clip);
  write_tokenizer(vocabulary, folder / "clip", kPromptTokens);
  const ImagePreprocessorOptions& image = model.clip->preprocessor().options();
  write_json(folder / "clip" / "preprocessor_config.json",
             {{"image_processor_type", "CLIPImageProcessor"},
              {"do_resize", true},
              {"size", {{"shortest_edge", image.edge}}},
              {"resample", 3},
              {"do_center_crop", true},
              {"crop_size", {{"height", image.side}, {"width", image.side}}},
              {"do_rescale", true},
              {"rescale_factor", 1.0 / 255},
              {"do_normalize", true},
              {"image_mean", image.mean},
              {"image_std", image.deviation},
              {"do_convert_rgb", true}});
}

}  // namespace reward_tuner::pretrain
