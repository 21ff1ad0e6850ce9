// Answers a scheduler case: the whole trajectory for given network outputs and noises.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <numbers>
#include <string>

#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

namespace reward_tuner::parity {

/// The schedule that case.json and config.json describe; another scheduler class is an "unsupported" error.
inline SamplerSchedule scheduler_of(const nlohmann::json& config, const nlohmann::json& settings) {
  const std::string name = config.value("_class_name", std::string());
  REWARD_TUNER_CHECK(name == "DDIMScheduler" || name == "DDPMScheduler",
                     "unsupported scheduler: expected DDIMScheduler or DDPMScheduler, got ", name);
  const NoiseSchedule noise(noise_schedule_config_from_json(config));
  const int steps = settings.at("steps").get<int>();
  const auto step = settings.value("step", nlohmann::json::object());
  if (name == "DDIMScheduler")
    return Ddim({.num_steps = steps,
                 .eta = step.value("eta", 0.0),
                 .use_clipped_output = step.value("use_clipped_model_output", false)})
        .schedule(noise);
  return Ddpm({.num_steps = steps}).schedule(noise);
}

inline std::map<std::string, Tensor> probe_scheduler(const std::filesystem::path& folder) {
  const auto settings = read_json(folder / "case.json");
  const auto config = read_json(folder / "config.json");
  const SamplerSchedule schedule = scheduler_of(config, settings);
  const bool ddim = config.at("_class_name") == "DDIMScheduler";
  const auto inputs = SafetensorsFile::open(folder / "inputs.safetensors");
  // [T,B,C,h,w]
  const Tensor outputs = inputs.tensor("model_output").to(at::kDouble), noises = inputs.tensor("noise").to(at::kDouble);

  Tensor x = inputs.tensor("noise_start").to(at::kDouble);  // [B,C,h,w]
  std::vector<Tensor> trajectory{x}, model_inputs, cleans, log_probs;
  std::vector<double> timesteps, deviations;
  for (int k = 0; k < schedule.num_steps(); ++k) {
    const double c = schedule.steps[static_cast<std::size_t>(k)].noise;
    model_inputs.push_back(x);
    cleans.push_back(predict_clean(schedule, k, x, outputs[k]));
    const Tensor mean = step_mean(schedule, k, x, outputs[k]);
    x = mean.add(noises[k], c);
    trajectory.push_back(x);
    timesteps.push_back(static_cast<double>(schedule.timestep(k)));
    deviations.push_back(c);
    const Tensor log_prob = -(x - mean).square() / (2 * c * c) - std::log(c) - 0.5 * std::log(2 * std::numbers::pi);
    log_probs.push_back(c > 0 ? log_prob.mean({1, 2, 3}) : at::zeros({x.size(0)}, at::kDouble));
  }
  std::map<std::string, Tensor> out{{"timesteps", at::tensor(timesteps)},
                                    {"trajectory", at::stack(trajectory)},
                                    {"model_input", at::stack(model_inputs)},
                                    {"pred_original_sample", at::stack(cleans)}};
  if (ddim && settings.value("step", nlohmann::json::object()).value("eta", 0.0) > 0) {
    out["log_prob"] = at::stack(log_probs);
    out["std"] = at::tensor(deviations);
  }
  for (auto& [name, tensor] : out) tensor = tensor.to(at::kFloat);
  return out;
}

}  // namespace reward_tuner::parity
