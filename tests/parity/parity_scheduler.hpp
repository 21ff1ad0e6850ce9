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
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/samplers/ddim.hpp>
#include <reward_tuner/samplers/ddpm.hpp>
#include <reward_tuner/samplers/dpm_solver.hpp>
#include <reward_tuner/samplers/euler.hpp>
#include <reward_tuner/samplers/euler_ancestral.hpp>
#include <reward_tuner/samplers/flow_euler.hpp>

namespace reward_tuner::parity {

/// The schedule of a diffusers class; one that is not built is an "unsupported" error. `step` holds the arguments of
/// its step().
inline SamplerSchedule schedule_of_class(const std::string& name, const NoiseSchedule& noise, int steps,
                                         const nlohmann::json& step = nlohmann::json::object()) {
  if (name == "DDIMScheduler")
    return Ddim({.num_steps = steps,
                 .eta = step.value("eta", 0.0),
                 .use_clipped_output = step.value("use_clipped_model_output", false)})
        .schedule(noise);
  if (name == "DDPMScheduler") return Ddpm({.num_steps = steps}).schedule(noise);
  if (name == "DPMSolverMultistepScheduler") return DpmSolver({.num_steps = steps}).schedule(noise);
  if (name == "EulerDiscreteScheduler") return Euler({.num_steps = steps}).schedule(noise);
  if (name == "EulerAncestralDiscreteScheduler") return EulerAncestral({.num_steps = steps}).schedule(noise);
  detail::fail("unsupported scheduler: ", name);
}

/// The schedule of a FlowMatchEulerDiscreteScheduler whose set_timesteps() was given the number of steps, and mu where
/// its shift is dynamic.
inline SamplerSchedule flow_schedule(const nlohmann::json& config, const nlohmann::json& settings) {
  for (const char* key :
       {"invert_sigmas", "stochastic_sampling", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"})
    REWARD_TUNER_CHECK(!config.value(key, false), "unsupported scheduler: ", key);
  REWARD_TUNER_CHECK(config.value("shift_terminal", nlohmann::json()).is_null(),
                     "unsupported scheduler: shift_terminal");
  FlowEulerOptions options{.num_steps = settings.at("steps").get<int>(), .spacing = FlowSpacing::kTraining};
  if (config.value("use_dynamic_shifting", false)) {
    REWARD_TUNER_CHECK(config.value("time_shift_type", "exponential") == "exponential",
                       "unsupported scheduler: time_shift_type");
    options.mu = settings.at("set_timesteps").at("mu").get<double>();
  } else {
    options.shift = config.value("shift", 1.0);
  }
  const NoiseSchedule noise({.num_train_steps = config.value("num_train_timesteps", std::int64_t{1000}),
                             .prediction = PredictionType::kFlow});
  return FlowEuler(options).schedule(noise);
}

/// The schedule that case.json and config.json describe.
inline SamplerSchedule scheduler_of(const nlohmann::json& config, const nlohmann::json& settings) {
  const std::string name = config.value("_class_name", std::string());
  if (name == "FlowMatchEulerDiscreteScheduler") return flow_schedule(config, settings);
  REWARD_TUNER_CHECK(name.find("FlowMatch") == std::string::npos, "unsupported scheduler: ", name);
  return schedule_of_class(name, NoiseSchedule(noise_schedule_config_from_json(config)),
                           settings.at("steps").get<int>(), settings.value("step", nlohmann::json::object()));
}

/// Whether the class keeps y = latent/alpha in place of the latent.
inline bool keeps_ratio(const std::string& name) { return name.starts_with("Euler"); }

/// latent(k) as the class keeps it; the last one as it is.
inline Tensor kept_latent(const std::string& name, const SamplerSchedule& schedule, int k, const Tensor& latent) {
  return keeps_ratio(name) && k < schedule.num_steps() ? latent / schedule.step(k).alpha : latent;
}

/// What a class calls sigma, of every step and after the last: sigma of a flow, else sigma/alpha, whose direction and
/// noise together keep the variance.  double [T+1]
inline Tensor sigmas_of(const std::string& name, const SamplerSchedule& schedule) {
  std::vector<double> out;
  if (name.starts_with("FlowMatch")) {
    for (const SamplerStep& step : schedule.steps) out.push_back(step.sigma);
    out.push_back(schedule.steps.back().direction);
    return at::tensor(out, at::kDouble);
  }
  for (const SamplerStep& step : schedule.steps) out.push_back(step.sigma / step.alpha);
  const SamplerStep& last = schedule.steps.back();
  out.push_back(std::hypot(last.direction, last.noise) / last.alpha_next);
  return at::tensor(out, at::kDouble);
}

inline std::map<std::string, Tensor> probe_scheduler(const std::filesystem::path& folder) {
  const auto settings = read_json(folder / "case.json");
  const auto config = read_json(folder / "config.json");
  const SamplerSchedule schedule = scheduler_of(config, settings);
  const auto name = config.at("_class_name").get<std::string>();
  const auto inputs = SafetensorsFile::open(folder / "inputs.safetensors");
  // [T,B,C,h,w]
  const Tensor outputs = inputs.tensor("model_output").to(at::kDouble), noises = inputs.tensor("noise").to(at::kDouble);

  Tensor x = schedule.start_scale * inputs.tensor("noise_start").to(at::kDouble), before;  // [B,C,h,w]
  std::vector<Tensor> trajectory{kept_latent(name, schedule, 0, x)}, model_inputs, cleans, log_probs;
  std::vector<double> timesteps, deviations;
  for (int k = 0; k < schedule.num_steps(); ++k) {
    const double c = schedule.steps[static_cast<std::size_t>(k)].noise;
    model_inputs.push_back(x);
    cleans.push_back(predict_clean(schedule, k, x, outputs[k]));
    const Tensor mean = step_mean(schedule, k, x, outputs[k], before);
    before = cleans.back();
    x = mean.add(noises[k], c);
    trajectory.push_back(kept_latent(name, schedule, k + 1, x));
    timesteps.push_back(schedule.timestep(k));
    deviations.push_back(c);
    const Tensor log_prob = -(x - mean).square() / (2 * c * c) - std::log(c) - 0.5 * std::log(2 * std::numbers::pi);
    log_probs.push_back(c > 0 ? log_prob.mean({1, 2, 3}) : at::zeros({x.size(0)}, at::kDouble));
  }
  std::map<std::string, Tensor> out{{"timesteps", at::tensor(timesteps)},
                                    {"trajectory", at::stack(trajectory)},
                                    {"model_input", at::stack(model_inputs)},
                                    {"pred_original_sample", at::stack(cleans)}};
  if (name != "DDIMScheduler" && name != "DDPMScheduler") out["sigmas"] = sigmas_of(name, schedule);
  if (name == "DDIMScheduler" && settings.value("step", nlohmann::json::object()).value("eta", 0.0) > 0) {
    out["log_prob"] = at::stack(log_probs);
    out["std"] = at::tensor(deviations);
  }
  for (auto& [answer, tensor] : out) tensor = tensor.to(at::kFloat);
  return out;
}

}  // namespace reward_tuner::parity
