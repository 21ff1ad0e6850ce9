// Definitions of stable_diffusion.hpp.
#pragma once
#include <reward_tuner/models/stable_diffusion.hpp>

#include <algorithm>
#include <set>
#include <utility>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/part_copy.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE StableDiffusion StableDiffusion::load(const std::filesystem::path& folder,
                                                          StableDiffusionOptions options) {
  REWARD_TUNER_CHECK(!std::filesystem::is_regular_file(folder),
                     "[StableDiffusion] expected a model folder in diffusers layout, got the file ", folder.string(),
                     ": checkpoints in one file are not read here; convert it in Python by "
                     "StableDiffusionPipeline.from_single_file(FILE).save_pretrained(FOLDER)");
  REWARD_TUNER_CHECK(std::filesystem::is_directory(folder),
                     "[StableDiffusion] expected a model folder in diffusers layout, got nothing at ", folder.string());
  const auto index_file = folder / "model_index.json";
  const auto name = ConfigReader::from_file(index_file).required<std::string>("_class_name");
  REWARD_TUNER_CHECK(name == "StableDiffusionPipeline", "[StableDiffusion] ", index_file.string(),
                     " expected _class_name \"StableDiffusionPipeline\", got \"", name, "\"");
  StableDiffusion p;
  p.folder_ = folder;
  p.options_ = std::move(options);
  check_variant(folder, p.options_.variant);
  const auto scheduler_file = folder / "scheduler" / "scheduler_config.json",
             unet_file = folder / "unet" / "config.json";
  p.schedule_ = NoiseSchedule(stable_diffusion_schedule(read_json(scheduler_file), scheduler_file.string()));
  p.tokenizer_ = std::make_shared<ClipTokenizer>(ClipTokenizer::load(folder / "tokenizer"));
  const NewWeightsScope weights_as_wanted(p.latent_options());
  p.unet_ = std::make_shared<UNet2DConditionModel>(stable_diffusion_unet(read_json(unet_file), unet_file.string()));
  p.vae_ = std::make_shared<AutoencoderKL>(AutoencoderKLConfig::load(folder / "vae" / "config.json"));
  p.text_encoder_ = std::make_shared<ClipTextModel>(ClipTextConfig::load(folder / "text_encoder" / "config.json"));
  p.check_fit();
  const auto weights = [&](const char* part, const WeightsNames& names) {
    return find_weights(folder / part, names, p.options_.variant).open();
  };
  load_part(*p.unet_, weights("unet", kDiffusersWeights));
  load_part(*p.vae_, weights("vae", kDiffusersWeights), {.rename = rename_legacy_vae_key});
  load_part(
      *p.text_encoder_, weights("text_encoder", kTransformersWeights),
      {.rename = clip_text_key, .round_to = transformers_dtype(read_json(folder / "text_encoder" / "config.json"))});
  return p;
}

REWARD_TUNER_INLINE void StableDiffusion::check_fit() {
  latent_size_ = chosen_size();
  const std::int64_t rows = text_encoder_->config().vocab_size, tokens = tokenizer_->vocab_size();
  if (rows > tokens)
    note("[StableDiffusion] ", folder_.string(), ": the text encoder has ", rows, " rows, but the tokenizer only ",
         tokens, " tokens: a file with added tokens may be missing");
  const auto& unet = unet_->config();
  const std::int64_t width = text_encoder_->config().hidden_size, channels = vae_->config().latent_channels;
  for (const std::int64_t wanted : unet.cross_attention_dim)
    REWARD_TUNER_CHECK(width == wanted, "[StableDiffusion] the UNet's cross_attention_dim is ", wanted,
                       ", but the text encoder's hidden_size is ", width);
  REWARD_TUNER_CHECK(unet.in_channels == channels && unet.out_channels == channels, "[StableDiffusion] ",
                     folder_.string(), "/unet/config.json: expected ", channels,
                     " in_channels and out_channels, the VAE's latent_channels, got ", unet.in_channels, " and ",
                     unet.out_channels, unet.in_channels == 9 ? " (an inpainting model, which is not built here)" : "");
}

REWARD_TUNER_INLINE void StableDiffusion::save(const std::filesystem::path& folder) const {
  namespace fs = std::filesystem;
  fs::create_directories(folder);
  if (!fs::equivalent(folder, folder_)) {
    std::set<std::string> parts{"scheduler", "tokenizer", "text_encoder", "vae", "clip"};
    const nlohmann::json index = read_json(folder_ / "model_index.json");
    for (const auto& [part, library_and_class] : index.items())
      if (part != "unet" && library_and_class.is_array() && !library_and_class.empty() &&
          !library_and_class[0].is_null() && fs::path(part).filename() == part && part != "..")
        parts.insert(part);  // a folder beside the others, never one elsewhere
    for (const std::string& part : parts) {
      if (fs::exists(folder_ / part)) copy_part(folder_ / part, folder / part, options_.variant);
      else if (part != "clip")  // ours, for rewards
        note("[StableDiffusion] ", folder_.string(), "/model_index.json names the part ", part,
             ", which the folder does not have: ", folder.string(), " lacks it too");
    }
    fs::copy_file(folder_ / "model_index.json", folder / "model_index.json", fs::copy_options::overwrite_existing);
  }
  fs::create_directories(folder / "unet");
  const std::string weights = kDiffusersWeights.stem + std::string(".safetensors");
  for (const std::string& name : {std::string("config.json"), weights})
    if (fs::is_symlink(folder / "unet" / name))
      fs::remove(folder / "unet" / name);  // the hub's cache shares its target
  write_file_atomically(folder / "unet" / "config.json", unet_->config().to_json().dump(2) + "\n");
  save_safetensors(folder / "unet" / weights, state_dict(*unet_));
  remove_other_weights(folder / "unet", {weights});
}

REWARD_TUNER_INLINE std::shared_ptr<const ClipModel> StableDiffusion::clip() {
  if (!clip_) {
    REWARD_TUNER_CHECK(std::filesystem::is_directory(folder_ / "clip"),
                       "[StableDiffusion] the reward needs a CLIP, but ", folder_.string(),
                       " has no clip/ folder; load one by ClipModel::load(folder) and give it to the reward");
    auto clip = ClipModel::load(folder_ / "clip", options_.variant);
    clip->to(options_.device);
    clip_ = std::move(clip);
  }
  return clip_;
}

REWARD_TUNER_INLINE std::vector<Tensor> StableDiffusion::train_unet(bool keep_reference) {
  if (keep_reference) this->keep_reference();
  std::vector<Tensor> parameters = unet_->parameters();
  for (Tensor& p : parameters) p.requires_grad_(true);
  return parameters;
}

REWARD_TUNER_INLINE void StableDiffusion::keep_reference() {
  for (const auto& [name, value] : state_dict(*unet_)) reference_[name] = value.clone();
}

REWARD_TUNER_INLINE std::int64_t StableDiffusion::text_length() const {
  const auto positions = text_encoder_->config().max_position_embeddings;
  return std::min(positions, tokenizer_->model_max_length().value_or(positions));
}

REWARD_TUNER_INLINE Condition StableDiffusion::encode(const std::vector<std::string>& prompts) {
  const torch::AutoGradMode grad(torch::GradMode::is_enabled() && trains_condition());
  const auto length = text_length();
  std::vector<std::string> texts = prompts;
  texts.push_back("");
  // else the empty prompt is the negative one
  if (!options_.negative_prompt.empty()) texts.push_back(options_.negative_prompt);
  const Tensor ids = (*tokenizer_)(texts, length);  // [B+1|B+2,L]
  const std::int64_t rows = text_encoder_->config().vocab_size, largest = ids.max().item<std::int64_t>();
  REWARD_TUNER_CHECK(largest < rows, "[StableDiffusion] expected tokens with ids below ", rows,
                     ", the rows of the text encoder's table, got ", largest,
                     ": the tokenizer has tokens that the text encoder was not trained with");
  // [B+1|B+2,L,D]
  const Tensor states = text_encoder_->forward(ids.to(options_.device)).last_hidden_state;
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

REWARD_TUNER_INLINE Tensor StableDiffusion::predict(const Tensor& latents, const Tensor& timesteps,
                                                    const Conditioning& conditioning) {
  if (!low_precision_in_use_ || torch::GradMode::is_enabled())
    return unet_->forward(latents, timesteps, conditioning.embeddings, {conditioning.pooled, conditioning.time_ids});
  const auto dtype = low_precision_in_use_->parameters().front().scalar_type();
  const auto low = [&](const Tensor& t) { return t.defined() ? t.to(dtype) : t; };
  return low_precision_in_use_
      ->forward(low(latents), timesteps, low(conditioning.embeddings),
                {low(conditioning.pooled), conditioning.time_ids})
      .to(latents.scalar_type());
}

REWARD_TUNER_INLINE Tensor StableDiffusion::decode(const Tensor& latents) {
  const auto& c = vae_->config();
  return vae_->decode(latents / c.scaling_factor + c.shift_factor) * 0.5 + 0.5;
}

REWARD_TUNER_INLINE Tensor StableDiffusion::encode_images(const Tensor& images) {
  const auto& c = vae_->config();
  return (AutoencoderKL::latent_mean(vae_->encode_moments(images * 2 - 1)) - c.shift_factor) * c.scaling_factor;
}

REWARD_TUNER_INLINE std::vector<std::int64_t> StableDiffusion::latent_shape(std::int64_t batch) const {
  const auto& c = unet_->config();
  return {batch, c.in_channels, latent_size_.height, latent_size_.width};
}

REWARD_TUNER_INLINE LatentSize StableDiffusion::chosen_size() const {
  const std::int64_t divisor = vae_->config().reduction();
  const auto side = [&](const char* name, const std::optional<std::int64_t>& pixels, std::int64_t LatentSize::*own) {
    if (!pixels) {
      const auto& size = unet_->config().sample_size;
      REWARD_TUNER_CHECK(size, "[StableDiffusion] ", folder_.string(),
                         "/unet/config.json has no sample_size, so the image's ", name,
                         " is not known: expected it in StableDiffusionOptions, got none");
      return (*size).*own;
    }
    REWARD_TUNER_CHECK(*pixels > 0 && *pixels % divisor == 0, "[StableDiffusion] the image's ", name,
                       " must be a positive multiple of ", divisor, ", the VAE's reduction: expected ",
                       std::max(divisor, *pixels / divisor * divisor), " or ",
                       std::max(divisor, *pixels / divisor * divisor) + divisor, ", got ", *pixels);
    return *pixels / divisor;
  };
  return {side("height", options_.height, &LatentSize::height), side("width", options_.width, &LatentSize::width)};
}

REWARD_TUNER_INLINE RolloutScope StableDiffusion::rollout_scope(const RolloutMode& mode) {
  return RolloutScope(*unet_, mode, low_precision_, low_precision_in_use_);
}

REWARD_TUNER_INLINE void StableDiffusion::load_part(torch::nn::Module& module, const WeightsSource& weights,
                                                    const LoadOptions& load) {
  load_weights(module, weights, load);
  module.eval();
  for (Tensor& p : module.parameters()) p.requires_grad_(false);
}

}  // namespace reward_tuner
