// Answers a folder case: a whole pipeline run for a few steps, or the schedules that scheduler files give.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/samplers/ddim.hpp>

#include "parity_scheduler.hpp"

namespace reward_tuner::parity {

/// Which of the case's scheduler files can be read for Ddim, and the schedule and samples of each.
inline std::map<std::string, Tensor> probe_scheduler_classes(const std::filesystem::path& folder,
                                                             const nlohmann::json& settings) {
  const auto inputs = SafetensorsFile::open(folder / "inputs.safetensors");
  const Tensor outputs = inputs.tensor("model_output").to(at::kDouble);  // [T,B,C,h,w]
  std::map<std::string, Tensor> out;
  std::vector<std::int64_t> readable;
  for (const auto& entry : settings.at("schedulers")) {
    const auto name = entry.get<std::string>();
    const auto file = folder / "schedulers" / name / "scheduler_config.json";
    std::optional<NoiseSchedule> noise;
    try {
      noise.emplace(stable_diffusion_schedule(read_json(file), file.string()));
    } catch (const Error&) {
    }
    readable.push_back(noise.has_value());
    if (!noise) continue;
    const SamplerSchedule schedule = Ddim({.num_steps = settings.at("steps").get<int>()}).schedule(*noise);
    Tensor x = inputs.tensor("noise_start").to(at::kDouble);  // [B,C,h,w]
    std::vector<double> timesteps, levels;
    for (int k = 0; k < schedule.num_steps(); ++k) {
      timesteps.push_back(schedule.timestep(k));
      x = step_mean(schedule, k, x, outputs[k]);
    }
    for (std::int64_t t = 0; t < noise->config().num_train_steps; ++t) levels.push_back(noise->abar(t));
    out[name + ".timesteps"] = at::tensor(timesteps, at::kDouble);
    out[name + ".alphas_cumprod"] = at::tensor(levels, at::kDouble).to(at::kFloat);
    out[name + ".latents"] = x.to(at::kFloat);
  }
  out["readable"] = at::tensor(readable, at::kLong);
  return out;
}

/// The texts of a call for every text encoder: KEY, and KEY_2 where it is given. Empty if KEY is not.
inline std::vector<std::vector<std::string>> texts_of(const nlohmann::json& call, const std::string& key) {
  std::vector<std::vector<std::string>> texts;
  for (const char* end : {"", "_2"})
    if (const auto found = call.find(key + end); found != call.end() && !found->is_null())
      texts.push_back(found->get<std::vector<std::string>>());
  return texts;
}

/// The negative prompt that all samples share, as the option takes it.
inline std::optional<std::string> shared_negative(const nlohmann::json& call) {
  const auto texts = texts_of(call, "negative_prompt");
  if (texts.size() != 1) return std::nullopt;
  for (const std::string& text : texts[0])
    if (text != texts[0][0]) return std::nullopt;
  return texts[0].at(0);
}

/// The case's pipeline.
inline StableDiffusion folder_pipeline(const std::filesystem::path& folder, const nlohmann::json& call) {
  const auto pixels = [&](const char* key) {
    const auto found = call.find(key);
    return found == call.end() || found->is_null() ? std::nullopt : std::optional(found->get<std::int64_t>());
  };
  StableDiffusionOptions options{.dtype = at::kDouble,
                                 .negative_prompt = shared_negative(call),
                                 .height = pixels("height"),
                                 .width = pixels("width")};
  using Pair = std::array<std::int64_t, 2>;
  const auto pair = [&](const char* key) { return call.at(key).get<Pair>(); };
  if (call.contains("original_size")) options.original_size = {pair("original_size")[0], pair("original_size")[1]};
  if (call.contains("target_size")) options.target_size = {pair("target_size")[0], pair("target_size")[1]};
  if (call.contains("crops_coords_top_left"))
    options.crop = {pair("crops_coords_top_left")[0], pair("crops_coords_top_left")[1]};
  return StableDiffusion::load(folder / "model", options);
}

/// The condition of the case's prompts; a text of its own for a text encoder, and a negative prompt of its own for a
/// sample, take the place of what the pipeline gives.
inline Condition case_condition(StableDiffusion& pipeline, const nlohmann::json& call) {
  Condition condition = pipeline.encode(call.at("prompt").get<std::vector<std::string>>());
  const auto replace = [&](Conditioning& states, const std::vector<std::vector<std::string>>& texts) {
    Conditioning own = pipeline.prompt_encoder().states(texts);
    own.time_ids = states.time_ids;
    states = own;
  };
  if (const auto texts = texts_of(call, "prompt"); texts.size() == 2) replace(condition.positive, texts);
  if (const auto texts = texts_of(call, "negative_prompt"); !texts.empty() && !shared_negative(call))
    replace(condition.negative, texts);
  return condition;
}

inline std::map<std::string, Tensor> probe_folder(const std::filesystem::path& folder) {
  const auto settings = read_json(folder / "case.json");
  if (settings.contains("schedulers")) return probe_scheduler_classes(folder, settings);
  const torch::NoGradGuard no_grad;
  const auto& call = settings.at("call");
  StableDiffusion pipeline = folder_pipeline(folder, call);
  const double guidance = call.at("guidance_scale").get<double>();
  const auto sampler = settings.at("sampler").get<std::string>();
  const SamplerSchedule schedule =
      schedule_of_class(sampler, pipeline.noise_schedule(), call.at("num_inference_steps").get<int>(), call);
  const Condition condition = case_condition(pipeline, call);
  const RolloutSetup setup = sampling_setup(schedule, condition, guidance);
  const auto inputs = SafetensorsFile::open(folder / "inputs.safetensors");
  Tensor x = schedule.start_scale * inputs.tensor("latents").to(at::kDouble), before;  // [B,4,h,w]
  REWARD_TUNER_CHECK(x.sizes() == at::IntArrayRef(pipeline.latent_shape(x.size(0))), "expected latents ",
                     at::IntArrayRef(pipeline.latent_shape(x.size(0))), ", got ", x.sizes());
  std::vector<Tensor> trajectory{kept_latent(sampler, schedule, 0, x)};
  std::vector<double> timesteps;
  NetworkCounts counts;
  for (int k = 0; k < schedule.num_steps(); ++k) {
    const double deviation = schedule.step(k).noise;
    const Tensor output = row_call(pipeline, step_rows(setup, k, x), counts).guided;  // [B,4,h,w]
    const Tensor clean = predict_clean(schedule, k, x, output);                       // [B,4,h,w]
    x = step_mean(schedule, k, x, output, before);
    before = clean;
    if (deviation > 0) x = x.add(inputs.tensor("noise")[k].to(at::kDouble), deviation);
    trajectory.push_back(kept_latent(sampler, schedule, k + 1, x));
    timesteps.push_back(schedule.timestep(k));
  }
  const auto& size = pipeline.unet().config().sample_size.value();
  const std::int64_t reduction = pipeline.vae().config().reduction();
  std::map<std::string, Tensor> out{{"trajectory", at::stack(trajectory)}, {"image", pipeline.decode(x) * 2 - 1}};
  const auto put = [&](const std::string& prefix, const Conditioning& states) {
    out[prefix + "prompt_embeds"] = states.embeddings;
    if (states.pooled.defined()) out[prefix + "pooled_prompt_embeds"] = states.pooled;
  };
  put("", condition.positive);
  if (guidance > 1) put("negative_", condition.negative);
  if (condition.positive.time_ids.defined()) out["add_time_ids"] = condition.positive.time_ids;
  for (auto& [name, tensor] : out) tensor = tensor.to(at::kFloat).contiguous();
  out["timesteps"] = at::tensor(timesteps, at::kDouble);
  out["default_size"] = at::tensor({size.height * reduction, size.width * reduction}, at::kLong);
  const auto texts = texts_of(call, "prompt");
  const auto& towers = pipeline.prompt_encoder().towers();
  for (std::size_t i = 0; i < towers.size(); ++i)
    out[i == 0 ? "input_ids" : "input_ids_2"] =
        (*towers[i].tokenizer)(texts[std::min(i, texts.size() - 1)], pipeline.text_length());
  return out;
}

}  // namespace reward_tuner::parity
