// The pipeline: text encoder, UNet and VAE of a diffusers folder, with everything the engine asks of a model.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_tokenizer.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/models/network_scopes.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>

namespace reward_tuner {

/// Where a pipeline lives and what it is told beside the prompts.
struct StableDiffusionOptions {
  at::Device device = at::kCPU;       ///< where all parts live
  at::ScalarType dtype = at::kFloat;  ///< of the frozen weights and latents; float for training on CPU
  std::string negative_prompt = "";   ///< what guidance pushes away from
};

/// A Stable Diffusion 1.x or 2.x pipeline. Copies share the networks. All weights are loaded frozen: attach a LoRA, or
/// let the UNet's own weights train by `train_unet()`.
/// Example: auto pipeline = StableDiffusion::load("examples/models/tiny-shapes");
class StableDiffusion {
 public:
  /// Loads a folder as diffusers' StableDiffusionPipeline.save_pretrained writes it. Missing files, unknown settings
  /// and wrong shapes are named errors.
  static StableDiffusion load(const std::filesystem::path& folder, StableDiffusionOptions options = {}) {
    REWARD_TUNER_CHECK(std::filesystem::is_directory(folder),
                       "[StableDiffusion] expected a model folder in diffusers layout, got nothing at ",
                       folder.string());
    const auto index_file = folder / "model_index.json";
    const auto index = read_json(index_file);
    const std::string name = index.is_object() ? index.value("_class_name", std::string()) : std::string();
    REWARD_TUNER_CHECK(name == "StableDiffusionPipeline", "[StableDiffusion] ", index_file.string(), " expected _class_name \"StableDiffusionPipeline\", got \"", name, "\"");
    StableDiffusion p;
    p.folder_ = folder;
    p.options_ = std::move(options);
    p.schedule_ = NoiseSchedule(load_noise_schedule_config(folder / "scheduler" / "scheduler_config.json"));
    p.tokenizer_ = std::make_shared<ClipTokenizer>(ClipTokenizer::load(folder / "tokenizer"));
    p.unet_ = std::make_shared<UNet2DConditionModel>(UNet2DConditionConfig::load(folder / "unet" / "config.json"));
    p.vae_ = std::make_shared<AutoencoderKL>(AutoencoderKLConfig::load(folder / "vae" / "config.json"));
    p.text_encoder_ = std::make_shared<ClipTextModel>(ClipTextConfig::load(folder / "text_encoder" / "config.json"));
    load_part(*p.unet_, folder / "unet" / "diffusion_pytorch_model.safetensors", {}, p.options_);
    load_part(*p.vae_, folder / "vae" / "diffusion_pytorch_model.safetensors", {.rename = rename_legacy_vae_key},
              p.options_);
    load_part(*p.text_encoder_, folder / "text_encoder" / "model.safetensors", {.rename = clip_text_key}, p.options_);
    REWARD_TUNER_CHECK(p.unet_->config().sample_size.has_value(), "[StableDiffusion] ", folder.string(),
                       "/unet/config.json expected a sample_size, got none: the side of the latents is not known");
    const std::int64_t width = p.text_encoder_->config().hidden_size;
    for (const std::int64_t wanted : p.unet_->config().cross_attention_dim)
      REWARD_TUNER_CHECK(width == wanted, "[StableDiffusion] the UNet's cross_attention_dim is ", wanted,
                         ", but the text encoder's hidden_size is ", width);
    return p;
  }

  /// Writes the whole folder again, tuned UNet weights included (adapters are not merged: save those by Lora::save).
  void save(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    for (const char* part : {"scheduler", "tokenizer", "text_encoder", "vae", "clip"})
      if (std::filesystem::exists(folder_ / part))
        std::filesystem::copy(
            folder_ / part, folder / part,
            std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    std::filesystem::create_directories(folder / "unet");
    write_file_atomically(folder / "unet" / "config.json", unet_->config().to_json().dump(2) + "\n");
    save_safetensors(folder / "unet" / "diffusion_pytorch_model.safetensors", state_dict(*unet_));
    std::filesystem::copy_file(folder_ / "model_index.json", folder / "model_index.json",
                               std::filesystem::copy_options::overwrite_existing);
  }

  UNet2DConditionModel& unet() { return *unet_; }
  AutoencoderKL& vae() { return *vae_; }
  ClipTextModel& text_encoder() { return *text_encoder_; }
  const ClipTokenizer& tokenizer() const { return *tokenizer_; }
  const std::filesystem::path& folder() const { return folder_; }

  /// The CLIP of the folder's clip/ part, for rewards that compare image and prompt. Loaded at the first call; an
  /// error if there is none.
  std::shared_ptr<const ClipModel> clip() {
    if (!clip_) {
      REWARD_TUNER_CHECK(std::filesystem::is_directory(folder_ / "clip"),
                         "[StableDiffusion] the reward needs a CLIP, but ", folder_.string(),
                         " has no clip/ folder; load one by ClipModel::load(folder) and give it to the reward");
      auto clip = ClipModel::load(folder_ / "clip");
      clip->to(options_.device);
      clip_ = std::move(clip);
    }
    return clip_;
  }

  /// Lets every UNet weight require a gradient and returns them in order: full fine-tuning. Keeps a copy for
  /// `reference_scope` if asked.
  std::vector<Tensor> train_unet(bool keep_reference = true) {
    if (keep_reference) this->keep_reference();
    std::vector<Tensor> parameters = unet_->parameters();
    for (Tensor& p : parameters) p.requires_grad_(true);
    return parameters;
  }
  /// Copies the UNet's weights as they are now; `reference_scope` returns to them.
  void keep_reference() {
    for (const auto& [name, value] : state_dict(*unet_)) reference_[name] = value.clone();
  }

  // ---- what the engine asks (engine/pipeline.hpp)

  /// prompts -> text states [B,L,D] of the prompts and of the negative prompt, where their words are, and the empty
  /// prompt [1,L,D]. No gradient.
  Condition encode(const std::vector<std::string>& prompts) {
    const torch::NoGradGuard no_grad;
    const auto length = text_encoder_->config().max_position_embeddings;
    std::vector<std::string> texts = prompts;
    texts.push_back("");
    // else the empty prompt is the negative one
    if (!options_.negative_prompt.empty()) texts.push_back(options_.negative_prompt);
    // [B+1|B+2,L,D]
    const Tensor states = text_encoder_->forward((*tokenizer_)(texts, length).to(options_.device)).last_hidden_state;
    const auto batch = static_cast<std::int64_t>(prompts.size());
    std::vector<std::vector<WordTokens>> words;
    words.reserve(prompts.size());
    for (const std::string& prompt : prompts) words.push_back(tokenizer_->words(prompt, length));
    return {{states.narrow(0, 0, batch)},
            {states.narrow(0, states.size(0) - 1, 1).expand({batch, -1, -1})},
            prompts,
            std::move(words),
            {states.narrow(0, batch, 1)}};
  }

  /// latents [N,C,h,w], timesteps [N] -> the UNet's output [N,C,h,w].
  Tensor predict(const Tensor& latents, const Tensor& timesteps, const Conditioning& conditioning) {
    if (!low_precision_in_use_ || torch::GradMode::is_enabled())
      return unet_->forward(latents, timesteps, conditioning.embeddings, {conditioning.pooled, conditioning.time_ids});
    const auto dtype = low_precision_in_use_->parameters().front().scalar_type();
    const auto low = [&](const Tensor& t) { return t.defined() ? t.to(dtype) : t; };
    return low_precision_in_use_
        ->forward(low(latents), timesteps, low(conditioning.embeddings),
                  {low(conditioning.pooled), conditioning.time_ids})
        .to(latents.scalar_type());
  }

  /// latents [N,C,h,w] in sampler units -> images [N,3,H,W], nominally [0,1], not clamped.
  Tensor decode(const Tensor& latents) {
    const auto& c = vae_->config();
    return vae_->decode(latents / c.scaling_factor + c.shift_factor) * 0.5 + 0.5;
  }

  /// images [N,3,H,W] in [0,1] -> mean latents [N,C,h,w] in sampler units.
  Tensor encode_images(const Tensor& images) {
    const auto& c = vae_->config();
    return (AutoencoderKL::latent_mean(vae_->encode_moments(images * 2 - 1)) - c.shift_factor) * c.scaling_factor;
  }

  std::vector<std::int64_t> latent_shape(std::int64_t batch) const {
    const auto& c = unet_->config();
    return {batch, c.in_channels, *c.sample_size, *c.sample_size};
  }
  at::TensorOptions latent_options() const { return at::TensorOptions().dtype(options_.dtype).device(options_.device); }
  const NoiseSchedule& noise_schedule() const { return schedule_; }
  RolloutScope rollout_scope(const RolloutMode& mode = {}) {
    return RolloutScope(*unet_, mode, low_precision_, low_precision_in_use_);
  }
  ActivationCheckpointScope activation_checkpoint_scope() { return ActivationCheckpointScope(*unet_); }
  ReferenceScope reference_scope() { return ReferenceScope(*unet_, reference_, low_precision_in_use_); }

 private:
  StableDiffusion() = default;

  static void load_part(torch::nn::Module& module, const std::filesystem::path& file, LoadOptions load,
                        const StableDiffusionOptions& options) {
    module.to(options.device, options.dtype);
    load_weights(module, SafetensorsFile::open(file), load);
    module.eval();
    for (Tensor& p : module.parameters()) p.requires_grad_(false);
  }

  std::filesystem::path folder_;
  StableDiffusionOptions options_;
  NoiseSchedule schedule_;
  std::shared_ptr<ClipTokenizer> tokenizer_;
  std::shared_ptr<UNet2DConditionModel> unet_;
  std::shared_ptr<AutoencoderKL> vae_;
  std::shared_ptr<ClipTextModel> text_encoder_;
  std::shared_ptr<const ClipModel> clip_;
  std::map<std::string, Tensor> reference_;
  // the UNet once more, for rollouts in another dtype; made when first asked for
  std::shared_ptr<UNet2DConditionModel> low_precision_;
  UNet2DConditionModel* low_precision_in_use_ = nullptr;  // what a rollout scope set
};

}  // namespace reward_tuner
