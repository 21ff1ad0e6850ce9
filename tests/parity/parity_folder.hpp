// Answers a folder case: a whole pipeline run for a few steps, or the schedules that scheduler files give.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/engine/row_call.hpp>
#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

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
      timesteps.push_back(static_cast<double>(schedule.timestep(k)));
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

/// The case's pipeline.
inline StableDiffusion folder_pipeline(const std::filesystem::path& folder, const nlohmann::json& call) {
  const auto pixels = [&](const char* key) {
    const auto found = call.find(key);
    return found == call.end() || found->is_null() ? std::nullopt : std::optional(found->get<std::int64_t>());
  };
  return StableDiffusion::load(folder / "model",
                               {.dtype = at::kDouble, .height = pixels("height"), .width = pixels("width")});
}

inline std::map<std::string, Tensor> probe_folder(const std::filesystem::path& folder) {
  const auto settings = read_json(folder / "case.json");
  if (settings.contains("schedulers")) return probe_scheduler_classes(folder, settings);
  const auto kind = read_json(folder / "config.json").value("_class_name", std::string());
  REWARD_TUNER_CHECK(kind == "StableDiffusionPipeline", "unsupported pipeline: ", kind);
  const auto& call = settings.at("call");
  const auto sampler = settings.at("sampler").get<std::string>();
  StableDiffusion pipeline = folder_pipeline(folder, call);
  REWARD_TUNER_CHECK(sampler == "DDIMScheduler" || sampler == "DDPMScheduler", "unsupported sampler: ", sampler);

  const torch::NoGradGuard no_grad;
  const int steps = call.at("num_inference_steps").get<int>();
  const double guidance = call.at("guidance_scale").get<double>();
  const auto prompts = call.at("prompt").get<std::vector<std::string>>();
  const auto& noise = pipeline.noise_schedule();
  const SamplerSchedule schedule = sampler == "DDPMScheduler"
                                       ? Ddpm({.num_steps = steps}).schedule(noise)
                                       : Ddim({.num_steps = steps, .eta = call.value("eta", 0.0)}).schedule(noise);
  Condition condition = pipeline.encode(prompts);
  if (call.contains("negative_prompt") && !call.at("negative_prompt").is_null())
    condition.negative = pipeline.encode(call.at("negative_prompt").get<std::vector<std::string>>()).positive;
  const RolloutSetup setup = sampling_setup(schedule, condition, guidance);
  const auto inputs = SafetensorsFile::open(folder / "inputs.safetensors");
  Tensor x = inputs.tensor("latents").to(at::kDouble);  // [B,4,h,w]
  REWARD_TUNER_CHECK(x.sizes() == at::IntArrayRef(pipeline.latent_shape(x.size(0))), "expected latents ",
                     at::IntArrayRef(pipeline.latent_shape(x.size(0))), ", got ", x.sizes());
  std::vector<Tensor> trajectory{x};
  std::vector<double> timesteps;
  NetworkCounts counts;
  for (int k = 0; k < steps; ++k) {
    const double deviation = schedule.step(k).noise;
    x = step_mean(schedule, k, x, row_call(pipeline, step_rows(setup, k, x), counts).guided);
    if (deviation > 0) x = x.add(inputs.tensor("noise")[k].to(at::kDouble), deviation);
    trajectory.push_back(x);
    timesteps.push_back(static_cast<double>(schedule.timestep(k)));
  }
  const auto& size = pipeline.unet().config().sample_size.value();
  const std::int64_t reduction = pipeline.vae().config().reduction();
  std::map<std::string, Tensor> out{{"trajectory", at::stack(trajectory)},
                                    {"image", pipeline.decode(x) * 2 - 1},
                                    {"prompt_embeds", condition.positive.embeddings}};
  if (guidance > 1) out["negative_prompt_embeds"] = condition.negative.embeddings;
  for (auto& [name, tensor] : out) tensor = tensor.to(at::kFloat).contiguous();
  out["timesteps"] = at::tensor(timesteps, at::kDouble);
  out["default_size"] = at::tensor({size.height * reduction, size.width * reduction}, at::kLong);
  out["input_ids"] = pipeline.tokenizer()(prompts, pipeline.text_length());
  return out;
}

}  // namespace reward_tuner::parity
