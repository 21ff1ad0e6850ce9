// Definitions of stable_diffusion.hpp.
#pragma once
#include <reward_tuner/models/stable_diffusion.hpp>

#include <algorithm>
#include <map>
#include <type_traits>
#include <vector>
#include <utility>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/models/adapted_network.hpp>
#include <reward_tuner/models/channels_last.hpp>
#include <reward_tuner/models/image_size.hpp>
#include <reward_tuner/models/model_writer.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE StableDiffusion StableDiffusion::load(const std::filesystem::path& folder_or_file,
                                                          StableDiffusionOptions options) {
  check_device(options.device, options.dtype, "StableDiffusion");
  StableDiffusion p;
  p.files_ = std::make_shared<const ModelFiles>(ModelFiles::open(
      folder_or_file, {.variant = options.variant, .tokenizer = options.tokenizer, .prediction = options.prediction}));
  p.options_ = std::move(options);
  const ModelFiles& files = *p.files_;
  const nlohmann::json index = files.config("model_index");
  p.family_ = pipeline_family(index, files.where("model_index"));
  const bool xl = p.family_ == PipelineFamily::kStableDiffusionXL;
  const auto read = [&](const std::string& part, const auto& reader) {
    return reader(files.config(part), files.where(part));
  };
  p.schedule_ = NoiseSchedule(read("scheduler", xl ? stable_diffusion_xl_schedule : stable_diffusion_schedule));
  const bool offload = p.options_.offload && !p.options_.device.is_cpu();
  if (p.options_.offload && !offload)
    note("[StableDiffusion] offload has no effect on the CPU, where idle parts lie anyway");
  const auto unet_weights = at::TensorOptions().device(p.options_.device).dtype(p.options_.dtype);
  const auto idle_weights = offload ? unet_weights.device(at::kCPU) : unet_weights;
  const auto made = []<class Network>(const at::TensorOptions& weights, std::type_identity<Network>, auto config) {
    const NewWeightsScope scope(weights);
    return std::make_shared<Network>(std::move(config));
  };
  p.unet_ = made(unet_weights, std::type_identity<UNet2DConditionModel>(),
                 pipeline_unet(p.family_, files.config("unet"), files.where("unet")));
  const auto vae = read("vae", AutoencoderKLConfig::from_json);
  p.vae_ = made(idle_weights.dtype(p.vae_dtype(vae)), std::type_identity<AutoencoderKL>(), vae);
  p.latent_size_ = latent_size_of(p.unet_->config(), vae, p.options_.height, p.options_.width, files.where("unet"));
  const bool zeros =
      ConfigReader(index, files.where("model_index")).optional<bool>("force_zeros_for_empty_prompt", true);
  p.prompts_ = PromptEncoder(p.text_towers(idle_weights),
                             {.device = p.options_.device,
                              .dtype = p.latent_options().dtype().toScalarType(),
                              .negative_prompt = p.options_.negative_prompt,
                              .zeros_without_negative = xl && zeros,
                              .time_ids = p.time_ids()},
                             p.folder().string());
  p.check_fit();
  std::vector<std::pair<std::string, torch::nn::Module*>> parts = {{"unet", p.unet_.get()}, {"vae", p.vae_.get()}};
  for (const auto& [name, model] : p.text_encoders()) parts.emplace_back(name, model);
  for (const auto& [name, network] : parts) {
    files.load(name, *network);
    network->eval();
    for (Tensor& weight : network->parameters()) weight.requires_grad_(false);
  }
  if (p.options_.channels_last.value_or(prefers_channels_last(p.options_.device))) {
    lay_channels_last(*p.unet_);
    lay_channels_last(*p.vae_);
  }
  p.vae_->set_tiling(p.options_.vae_tiling);
  if (p.options_.measured_attention.value_or(p.options_.device.is_cuda())) {
    if (p.options_.device.is_cpu())
      note("[StableDiffusion] measured_attention has no effect on the CPU, which has one kernel for each type");
    else p.set_attention_choice(std::make_shared<AttentionChoice>());
  }
  if (offload) p.set_idle_parts(std::make_shared<IdleParts>(p.options_.device));
  return p;
}

REWARD_TUNER_INLINE std::vector<TextTower> StableDiffusion::text_towers(const at::TensorOptions& weights) const {
  const NewWeightsScope scope(weights);
  const auto tower = [&](const std::string& end, bool with_projection) {
    const std::string part = "text_encoder" + end;
    return TextTower{std::make_shared<ClipTokenizer>(files_->tokenizer("tokenizer" + end)),
                     std::make_shared<ClipTextModel>(
                         ClipTextConfig::from_json(files_->config(part), files_->where(part)), with_projection)};
  };
  std::vector<TextTower> towers{tower("", false)};
  if (family_ == PipelineFamily::kStableDiffusionXL) towers.push_back(tower("_2", true));
  return towers;
}

REWARD_TUNER_INLINE std::vector<std::int64_t> StableDiffusion::time_ids() const {
  const auto& o = options_;
  if (family_ != PipelineFamily::kStableDiffusionXL) {
    REWARD_TUNER_CHECK(!o.original_size && !o.crop && !o.target_size,
                       "[StableDiffusion] original_size, crop and target_size are told to SDXL models alone: expected "
                       "none of them for the model ",
                       folder().string(), ", got ",
                       o.original_size ? "original_size"
                       : o.crop        ? "crop"
                                       : "target_size");
    return {};
  }
  const std::int64_t reduction = vae_->config().reduction();
  const ImageSize own{latent_size_.height * reduction, latent_size_.width * reduction},
      original = o.original_size.value_or(own), target = o.target_size.value_or(own);
  const ImagePoint crop = o.crop.value_or(ImagePoint());
  REWARD_TUNER_CHECK(std::min({original.height, original.width, target.height, target.width}) > 0,
                     "[StableDiffusion] expected positive original_size and target_size, got ", original.height, " x ",
                     original.width, " and ", target.height, " x ", target.width);
  REWARD_TUNER_CHECK(crop.top >= 0 && crop.left >= 0, "[StableDiffusion] expected a crop within the image, got ",
                     crop.top, ", ", crop.left);
  return {original.height, original.width, crop.top, crop.left, target.height, target.width};
}

REWARD_TUNER_INLINE void StableDiffusion::check_fit() const {
  const auto& unet = unet_->config();
  const std::string file = files_->where("unet");
  const bool xl = family_ == PipelineFamily::kStableDiffusionXL;
  const std::int64_t width = prompts_.width(), channels = vae_->config().latent_channels;
  for (const std::int64_t wanted : unet.cross_attention_dim)
    REWARD_TUNER_CHECK(width == wanted, "[StableDiffusion] the UNet's cross_attention_dim is ", wanted, ", but ",
                       xl ? "the text encoders' hidden_size together" : "the text encoder's hidden_size", " is ",
                       width);
  REWARD_TUNER_CHECK(unet.in_channels == channels && unet.out_channels == channels, "[StableDiffusion] ", file,
                     ": expected ", channels, " in_channels and out_channels, the VAE's latent_channels, got ",
                     unet.in_channels, " and ", unet.out_channels,
                     unet.in_channels == 9 ? " (an inpainting model, which is not built here)" : "");
  REWARD_TUNER_CHECK(
      unet.text_time_embedding == xl, "[StableDiffusion] ", file, ": expected addition_embed_type ",
      xl ? "\"text_time\" of an SDXL model, got none" : "null of a model before SDXL, got \"text_time\"");
  if (!xl) return;
  const std::int64_t added = prompts_.pooled_width() + 6 * unet.addition_time_embed_dim;
  REWARD_TUNER_CHECK(unet.projection_class_embeddings_input_dim == added, "[StableDiffusion] ", file,
                     ": expected a projection_class_embeddings_input_dim of ", added,
                     ", the second text encoder's projection_dim and 6 times addition_time_embed_dim, got ",
                     unet.projection_class_embeddings_input_dim);
}

REWARD_TUNER_INLINE void StableDiffusion::save(const std::filesystem::path& folder) const {
  write_model_folder(folder, *files_, {{"unet", state_dict(*unet_)}});
}

REWARD_TUNER_INLINE std::shared_ptr<const ClipModel> StableDiffusion::clip() {
  if (!clip_) {
    REWARD_TUNER_CHECK(std::filesystem::is_directory(folder() / "clip"),
                       "[StableDiffusion] the reward needs a CLIP, but ", folder().string(),
                       " has no clip/ folder; load one by ClipModel::load(folder) and give it to the reward");
    auto clip = ClipModel::load(folder() / "clip", options_.variant);
    if (!idle_) clip->to(options_.device);
    clip_ = std::move(clip);
    if (idle_) idle_->add(PartUse::kImages, clip_);
  }
  return clip_;
}

REWARD_TUNER_INLINE void StableDiffusion::set_idle_parts(std::shared_ptr<IdleParts> parts) {
  idle_ = std::move(parts);
  for (const TextTower& tower : prompts_.towers()) idle_->add(PartUse::kText, tower.model);
  idle_->add(PartUse::kImages, vae_);
  if (clip_) idle_->add(PartUse::kImages, clip_);
}

REWARD_TUNER_INLINE std::vector<std::string> StableDiffusion::memory_switches() const {
  std::vector<std::string> out;
  if (!options_.vae_tiling) out.emplace_back("StableDiffusionOptions::vae_tiling = true");
  if (!idle_ && !options_.device.is_cpu()) out.emplace_back("StableDiffusionOptions::offload = true");
  return out;
}

REWARD_TUNER_INLINE std::vector<Tensor> StableDiffusion::train_unet(bool keep_reference) {
  REWARD_TUNER_CHECK(options_.dtype == at::kFloat || options_.dtype == at::kDouble,
                     "[StableDiffusion] train_unet() expected weights in Float or Double, got ", options_.dtype,
                     ", in which small steps of an optimizer are lost: train a LoRA, which is Float on any weights");
  if (keep_reference) this->keep_reference();
  std::vector<Tensor> parameters = unet_->parameters();
  for (Tensor& p : parameters) {
    p.set_data(p.data().contiguous());  // optimizers copy others
    p.requires_grad_(true);
  }
  return parameters;
}

REWARD_TUNER_INLINE void StableDiffusion::keep_reference() {
  for (const auto& [name, value] : state_dict(*unet_)) reference_[name] = value.clone();
}

REWARD_TUNER_INLINE ClipTextModel& StableDiffusion::text_encoder_2() {
  REWARD_TUNER_CHECK(prompts_.towers().size() == 2,
                     "[StableDiffusion] expected a model with two text encoders (SDXL), ", "got one with one in ",
                     folder().string());
  return wake(PartUse::kText), *prompts_.towers()[1].model;
}

REWARD_TUNER_INLINE std::vector<std::pair<std::string, ClipTextModel*>> StableDiffusion::text_encoders() {
  wake(PartUse::kText);
  std::vector<std::pair<std::string, ClipTextModel*>> all;
  for (const TextTower& tower : prompts_.towers())
    all.emplace_back(all.empty() ? "text_encoder" : "text_encoder_2", tower.model.get());
  return all;
}

REWARD_TUNER_INLINE Tensor StableDiffusion::predict(const Tensor& latents, const Tensor& timesteps,
                                                    const Conditioning& conditioning) {
  if (idle_) idle_->rest();
  const AttentionScope attention(attention_.get());
  const bool copied = low_precision_in_use_ && !torch::GradMode::is_enabled();
  const UNet2DConditionModel& unet = copied ? *low_precision_in_use_ : *unet_;
  const auto dtype = copied ? low_precision_in_use_->parameters().front().scalar_type() : options_.dtype;
  // of latents, timesteps, embeddings, pooled, time_ids
  const auto call = [&unet, dtype](const std::vector<Tensor>& in) {
    const auto own = [&](const Tensor& t) { return t.defined() ? t.to(dtype) : t; };
    return unet.forward(own(in[0]), in[1], own(in[2]), {own(in[3]), in[4]}).to(in[0].scalar_type()).contiguous();
  };
  const std::vector<Tensor> inputs = {latents, timesteps, conditioning.embeddings, conditioning.pooled,
                                      conditioning.time_ids};
  const bool captured = captured_in_use_ && !torch::GradMode::is_enabled();
  return captured ? (*captured_in_use_)(unet, inputs, call) : call(inputs);
}

REWARD_TUNER_INLINE at::ScalarType StableDiffusion::vae_dtype(const AutoencoderKLConfig& config) const {
  return config.force_upcast ? latent_options().dtype().toScalarType() : options_.dtype;
}

REWARD_TUNER_INLINE Tensor StableDiffusion::decode(const Tensor& latents) {
  wake(PartUse::kImages);
  const AttentionScope attention(attention_.get());
  const auto& c = vae_->config();
  const Tensor unscaled = latents / c.scaling_factor + c.shift_factor;  // [N,C,h,w]
  return vae_->decode(unscaled.to(vae_dtype(c))).to(latents.scalar_type()).contiguous() * 0.5 + 0.5;
}

REWARD_TUNER_INLINE Tensor StableDiffusion::encode_images(const Tensor& images) {
  wake(PartUse::kImages);
  const auto& c = vae_->config();
  const Tensor mean = AutoencoderKL::latent_mean(vae_->encode_moments((images * 2 - 1).to(vae_dtype(c))));  // [N,C,h,w]
  return (mean.to(images.scalar_type()).contiguous() - c.shift_factor) * c.scaling_factor;
}

REWARD_TUNER_INLINE std::vector<std::int64_t> StableDiffusion::latent_shape(std::int64_t batch) const {
  const auto& c = unet_->config();
  return {batch, c.in_channels, latent_size_.height, latent_size_.width};
}

namespace detail {

/// What calls of one kind cost, counted once for each form.
template <class Form>
class RememberedFlops {
 public:
  template <class Count>
  CallFlops operator()(const Form& form, Count count) {
    const auto found = known_.find(form);
    return found != known_.end() ? found->second : known_.emplace(form, count()).first->second;
  }

 private:
  std::map<Form, CallFlops> known_;
};

}  // namespace detail

REWARD_TUNER_INLINE PipelineFlops StableDiffusion::flops() {
  using Form = std::vector<std::int64_t>;
  const SketchMachine machine{.cpu = options_.device.is_cpu(),
                              .element = static_cast<std::int64_t>(c10::elementSize(options_.dtype))};
  const auto now = [device = options_.device.type()](SketchMachine of) {
    of.autocast = autocast_dtype(device).has_value();
    return of;
  };
  const auto reaches = [](const Tensor& t) {
    return torch::GradMode::is_enabled() && t.defined() && t.requires_grad();
  };
  PipelineFlops out;
  out.predict = [=, this, unet = AdaptedNetwork(*unet_), known = detail::RememberedFlops<Form>()](
                    const Tensor& latents, const Conditioning& conditioning) mutable {
    CallForm form{.machine = now(machine),
                  .graph = torch::GradMode::is_enabled(),
                  .through_input = reaches(latents),
                  .through_states = reaches(conditioning.embeddings),
                  .merged = unet.mode() == AdapterMode::kMerged,
                  .checkpointing = unet_->activation_checkpointing()};
    const bool copied = low_precision_in_use_ != nullptr && !form.graph;
    if (!copied) form.training = unet.training();
    if (copied)
      form.machine.element =
          static_cast<std::int64_t>(c10::elementSize(low_precision_in_use_->parameters().front().scalar_type()));
    return known({latents.size(0), latents.size(2), latents.size(3), conditioning.embeddings.size(1), form.graph,
                  form.through_input, form.through_states, static_cast<std::int64_t>(unet.mode()), form.checkpointing,
                  form.machine.autocast, form.machine.element},
                 [&] {
                   return unet_flops(unet_->config(), latents.size(0), {latents.size(2), latents.size(3)},
                                     conditioning.embeddings.size(1), form);
                 });
  };
  SketchMachine images = machine;
  images.element = static_cast<std::int64_t>(c10::elementSize(vae_dtype(vae_->config())));
  const auto form_of = [=](const Tensor& input) {
    return CallForm{.machine = now(images), .graph = torch::GradMode::is_enabled(), .through_input = reaches(input)};
  };
  out.decode = [=, config = vae_->config(), known = detail::RememberedFlops<Form>()](const Tensor& latents) mutable {
    const CallForm form = form_of(latents);
    return known({latents.size(0), latents.size(2), latents.size(3), form.through_input, form.machine.autocast},
                 [&] { return decoder_flops(config, latents.size(0), {latents.size(2), latents.size(3)}, form); });
  };
  out.encode_images = [=, config = vae_->config(),
                       known = detail::RememberedFlops<Form>()](const Tensor& pixels) mutable {
    const CallForm form = form_of(pixels);
    const std::int64_t height = pixels.size(2) / config.reduction(), width = pixels.size(3) / config.reduction();
    return known({pixels.size(0), height, width, form.through_input, form.machine.autocast},
                 [&] { return encoder_flops(config, pixels.size(0), {height, width}, form); });
  };
  std::vector<AdaptedNetwork> towers;
  for (const TextTower& tower : prompts_.towers()) towers.emplace_back(*tower.model);
  out.encode = [=, this, towers = std::move(towers),
                known = detail::RememberedFlops<Form>()](std::int64_t prompts) mutable {
    const bool graph = torch::GradMode::is_enabled() && prompts_.trains();
    const auto mode = static_cast<std::int64_t>(towers.front().mode());
    return known({prompts, graph, mode}, [&] {
      CallFlops sum;
      for (std::size_t i = 0; i < towers.size(); ++i) {
        const CallFlops one =
            text_flops(prompts_.towers()[i].model->config(), prompts_.rows(prompts), prompts_.length(),
                       {.machine = machine, .training = towers[i].training(), .graph = graph});
        sum = {sum.forward + one.forward, sum.backward + one.backward};
      }
      return sum;
    });
  };
  return out;
}

REWARD_TUNER_INLINE RolloutScope StableDiffusion::rollout_scope(const RolloutMode& mode) {
  return RolloutScope({*unet_, low_precision_, low_precision_in_use_, captured_in_use_}, mode, capturing(mode));
}

REWARD_TUNER_INLINE CapturedUNet* StableDiffusion::capturing(const RolloutMode& mode) {
  if (!mode.capture) return nullptr;
  const GraphRecorder& recorder = graph_recorder();
  if (!recorder.record || recorder.device != options_.device.type()) {
    note("[StableDiffusion] steps of rollouts are not captured and run as without capture_rollout: expected a CUDA ",
         "card and a build with REWARDTUNER_CUDA, got the device ", options_.device,
         recorder.record ? "" : " and a build without");
    return nullptr;
  }
  if (!captured_) captured_ = std::make_shared<CapturedUNet>(recorder);
  return captured_.get();
}

}  // namespace reward_tuner
