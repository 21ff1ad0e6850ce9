// The pipeline: a model's text encoders, UNet and VAE, with everything the engine requires of a model.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/layers/attention_choice.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/captured_unet.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/models/idle_parts.hpp>
#include <reward_tuner/models/model_files.hpp>
#include <reward_tuner/models/network_scopes.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/pipeline_flops.hpp>
#include <reward_tuner/models/prompt_encoder.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/models/unet_2d_condition.hpp>
#include <reward_tuner/tensor/tensor.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

namespace reward_tuner {

/// Sides in pixels.
struct ImageSize {
  std::int64_t height = 0, width = 0;
};

/// A pixel of an image.
struct ImagePoint {
  std::int64_t top = 0, left = 0;
};

/// Options of a pipeline: device, dtype, files, negative prompt and sizes.
struct StableDiffusionOptions {
  at::Device device = at::kCPU;  ///< where all parts live
  /// of the frozen weights; those of the VAE stay float32 where its config.json says force_upcast. Latents, images and
  /// LoRAs are float32 (double) whatever it is
  at::ScalarType dtype = at::kFloat;
  /// of the weights' files, such as fp16, wherever a part has it; empty: the plain files, or those of the only variant
  std::string variant = "";
  std::filesystem::path tokenizer = {};  ///< a tokenizer folder in place of the model's own; empty: that
  /// what the network of a single file predicts, where neither config/ nor the file says; see SingleFile::open
  std::optional<PredictionType> prediction = std::nullopt;
  /// what guidance pushes away from, for every text encoder; unset: the empty prompt, for SDXL zeros where its folder
  /// forces them (force_zeros_for_empty_prompt, true if absent)
  std::optional<std::string> negative_prompt = std::nullopt;
  /// of the images, in pixels: any multiple of the VAE's reduction times the UNet's; unset: the model's own
  std::optional<std::int64_t> height = std::nullopt;
  std::optional<std::int64_t> width = std::nullopt;  ///< as height
  /// SDXL is told of which size an image was before it was cropped and scaled; unset: the images' own
  std::optional<ImageSize> original_size = std::nullopt;
  std::optional<ImagePoint> crop = std::nullopt;        ///< SDXL is told where the crop began; unset: 0, 0
  std::optional<ImageSize> target_size = std::nullopt;  ///< SDXL is told to which size; unset: the images' own
  /// the VAE works in strips of rows: half the memory of a decode and its backward, the same images up to rounding
  bool vae_tiling = false;
  /// images lie channels last in UNet and VAE (channels_last.hpp); unset: where the device has kernels that keep it so
  std::optional<bool> channels_last = std::nullopt;
  /// attention of UNet and VAE in calls without gradient goes by the kernel that was the fastest when its shape came
  /// first (attention_choice.hpp); unset: on CUDA cards. On the CPU there is no choice
  std::optional<bool> measured_attention = std::nullopt;
  /// text encoder, VAE and CLIP lie in the CPU's memory while they are not in use (idle_parts.hpp); nothing on the CPU
  bool offload = false;
};

/// A pipeline of Stable Diffusion 1.x, 2.x or XL. Copies share the networks. All weights are loaded frozen: attach a
/// LoRA, or let the UNet's own weights train by `train_unet()`.
/// Example: auto pipeline = StableDiffusion::load("examples/models/tiny-shapes");
class StableDiffusion {
 public:
  /// Loads a folder as save_pretrained of diffusers' StableDiffusionPipeline or StableDiffusionXLPipeline writes it and
  /// as that class reads it (see pipeline_corrections.hpp), or one .safetensors file in the original layout (see
  /// single_file.hpp). Missing files, unknown settings, wrong shapes and options that the family does not have are
  /// named errors.
  static StableDiffusion load(const std::filesystem::path& folder_or_file, StableDiffusionOptions options = {});

  /// Writes a whole folder, for diffusers to load as it is: see write_model_folder, with the UNet's weights as they are
  /// now (adapters are not merged: save those by Lora::save).
  void save(const std::filesystem::path& folder) const;

  UNet2DConditionModel& unet() { return *unet_; }
  AutoencoderKL& vae() { return wake(PartUse::kImages), *vae_; }  ///< where idle parts rest, this wakes it
  PipelineFamily family() const { return family_; }
  /// The first; where idle parts rest, this and what follows wake them.
  ClipTextModel& text_encoder() { return wake(PartUse::kText), *prompts_.towers()[0].model; }
  const ClipTokenizer& tokenizer() const { return *prompts_.towers()[0].tokenizer; }
  ClipTextModel& text_encoder_2();  ///< an error unless the model is SDXL
  /// The text encoders by the names of their folders: "text_encoder", "text_encoder_2".
  std::vector<std::pair<std::string, ClipTextModel*>> text_encoders();
  const PromptEncoder& prompt_encoder() { return wake(PartUse::kText), prompts_; }
  /// The folder that it was loaded from, or the single file.
  const std::filesystem::path& folder() const { return files_->path(); }

  /// The CLIP of the folder's clip/ part, for rewards that compare image and prompt. Loaded at the first call; an
  /// error if there is none.
  std::shared_ptr<const ClipModel> clip();

  /// Text encoder, VAE and CLIP, whose weights lie where they will rest, wake and rest by `parts` from now on. `load`
  /// calls it by the option `offload`.
  void set_idle_parts(std::shared_ptr<IdleParts> parts);
  /// Nullptr without offload. A reward's own network joins by idle_parts()->add(PartUse::kImages, network).
  const std::shared_ptr<IdleParts>& idle_parts() const { return idle_; }
  /// Attention of UNet and VAE goes by this choice from now on, by LibTorch's with nullptr. `load` calls it by the
  /// option `measured_attention`.
  void set_attention_choice(std::shared_ptr<AttentionChoice> choice) { attention_ = std::move(choice); }
  /// Nullptr without measured_attention.
  const std::shared_ptr<AttentionChoice>& attention_choice() const { return attention_; }
  /// How the UNet's calls in rollouts with RolloutMode::capture were made so far; zeros without such.
  CaptureCounts capture_counts() const { return captured_ ? captured_->counts() : CaptureCounts(); }
  /// The options of this pipeline that would take less memory.
  std::vector<std::string> memory_switches() const;

  /// Lets every UNet weight require a gradient and returns them in order: full fine-tuning. Keeps a copy for
  /// `reference_scope` if asked. Errors: weights of half precision, which lose an optimizer's small steps.
  std::vector<Tensor> train_unet(bool keep_reference = true);
  /// Copies the UNet's weights as they are now; `reference_scope` returns to them.
  void keep_reference();

  /// Tokens of a prompt's row, start and end included: the text encoder's positions, or fewer where the tokenizer's
  /// files say so.
  std::int64_t text_length() const { return prompts_.length(); }
  /// The end of a prompt that `encode` leaves out because it is too long; empty if nothing is lost.
  std::string lost_text(const std::string& prompt) const { return prompts_.lost_text(prompt); }

  // ---- required by the engine (engine/pipeline.hpp)

  /// The prompts' condition, see PromptEncoder::encode. Long prompts lose their end, see `lost_text`.
  /// Gradient: to the text encoders' trainable weights and adapters, if they have any.
  Condition encode(const std::vector<std::string>& prompts) { return prompt_encoder().encode(prompts); }

  /// Whether a text encoder has weights or adapters that train: attach a LoRA to text_encoder() for that.
  bool trains_condition() const { return prompts_.trains(); }

  /// latents [N,C,h,w], timesteps [N] -> the UNet's output [N,C,h,w].
  Tensor predict(const Tensor& latents, const Tensor& timesteps, const Conditioning& conditioning);

  /// latents [N,C,h,w] in sampler units -> images [N,3,H,W], nominally [0,1], not clamped.
  Tensor decode(const Tensor& latents);

  /// images [N,3,H,W] in [0,1] -> mean latents [N,C,h,w] in sampler units.
  Tensor encode_images(const Tensor& images);

  /// [N,C,h,w] of latents of the options' height and width.
  std::vector<std::int64_t> latent_shape(std::int64_t batch) const;
  at::TensorOptions latent_options() const {
    return at::TensorOptions().dtype(options_.dtype == at::kDouble ? at::kDouble : at::kFloat).device(options_.device);
  }
  /// The type that the UNet computes in.
  at::ScalarType network_dtype() const { return options_.dtype; }
  /// What calls cost with the adapters and trained weights of now, in the scopes in which it is asked. It holds this
  /// pipeline by reference.
  PipelineFlops flops();
  const NoiseSchedule& noise_schedule() const { return schedule_; }
  /// With RolloutMode::capture calls of one form are recorded and replayed (captured_calls.hpp). Where the device has
  /// no recorder a note says so, and they run as ever.
  RolloutScope rollout_scope(const RolloutMode& mode = {});
  ActivationCheckpointScope activation_checkpoint_scope() { return ActivationCheckpointScope(*unet_); }
  ReferenceScope reference_scope() {
    return ReferenceScope(*unet_, prompts_.towers(), reference_, low_precision_in_use_);
  }

 private:
  StableDiffusion() = default;

  /// The type of the VAE's weights.
  at::ScalarType vae_dtype(const AutoencoderKLConfig& config) const;

  /// The text encoders in text_encoder/ and text_encoder_2/ with their tokenizers, without weights.
  std::vector<TextTower> text_towers(const at::TensorOptions& weights) const;
  /// What SDXL is told of sizes; empty for other models. Errors: sizes for other models, sizes below 1.
  std::vector<std::int64_t> time_ids() const;
  /// Named errors unless the parts fit one another.
  void check_fit() const;
  /// What records calls in a rollout of this mode, or nullptr.
  CapturedUNet* capturing(const RolloutMode& mode);
  void wake(PartUse use) {
    if (idle_) idle_->wake(use);
  }

  std::shared_ptr<const ModelFiles> files_;
  PipelineFamily family_ = PipelineFamily::kStableDiffusion;
  StableDiffusionOptions options_;
  LatentSize latent_size_;
  NoiseSchedule schedule_;
  std::shared_ptr<UNet2DConditionModel> unet_;
  std::shared_ptr<AutoencoderKL> vae_;
  PromptEncoder prompts_;
  std::shared_ptr<const ClipModel> clip_;
  std::shared_ptr<IdleParts> idle_;
  std::shared_ptr<AttentionChoice> attention_;
  std::map<std::string, Tensor> reference_;
  // the UNet once more, for rollouts in another dtype; made on first use
  std::shared_ptr<UNet2DConditionModel> low_precision_;
  UNet2DConditionModel* low_precision_in_use_ = nullptr;  // what a rollout scope set
  std::shared_ptr<CapturedUNet> captured_;                // made when it is asked for
  CapturedUNet* captured_in_use_ = nullptr;               // what a rollout scope set
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/stable_diffusion.ipp>
#endif
