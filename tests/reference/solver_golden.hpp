// The trajectories of diffusers' solvers for a fixed map (tests/golden/make_solver_golden.py) beside a sampler's own.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/sampler_schedule.hpp>
#include <reward_tuner/engine/sampler_step.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/scheduler_config.hpp>

namespace reward_tuner::reference {

/// Largest differences from diffusers' of latents (in units of 1 + the latent) and timesteps, over `cases` files.
struct SolverErrors {
  double latents = 0, timesteps = 0;
  int cases = 0;
};

/// Of a class's files. `keeps_ratio`: its latents are y = latent/alpha, the last one as it is.
inline SolverErrors solver_errors(const std::string& class_name, bool keeps_ratio,
                                  const std::function<SamplerSchedule(const nlohmann::json& file)>& schedule_of) {
  const auto golden = read_json(std::filesystem::path(REWARD_TUNER_TEST_DATA) / "solvers.json");
  SolverErrors errors;
  const Tensor i = at::arange(5, at::kDouble);  // [5]
  const auto column = [](const Tensor& row) { return row.reshape({1, 5, 1, 1}); };
  for (const auto& file : golden) {
    if (file.at("config").at("_class_name") != class_name) continue;
    CAPTURE(file.at("config").dump());
    ++errors.cases;
    const SamplerSchedule schedule = schedule_of(file);
    REQUIRE(schedule.num_steps() == static_cast<int>(file.at("timesteps").size()));
    Tensor x = schedule.start_scale * column((0.9 * i).cos()), before;  // [1,5,1,1]
    for (int k = 0; k <= schedule.num_steps(); ++k) {
      const bool end = k == schedule.num_steps();
      const double alpha = keeps_ratio && !end ? schedule.step(k).alpha : 1.0;
      const auto row = file.at("trajectory")[static_cast<std::size_t>(k)].get<std::vector<double>>();
      const Tensor truth = column(at::tensor(row, at::kDouble));
      const double error = ((x / alpha - truth).abs() / (1 + truth.abs())).max().item<double>();
      CHECK_MESSAGE(error < 5e-5, "step " << k);
      errors.latents = std::max(errors.latents, error);
      if (end) break;
      const double late =
          std::abs(schedule.timestep(k) - file.at("timesteps")[static_cast<std::size_t>(k)].get<double>());
      CHECK_MESSAGE(late < 2e-3, "step " << k << ": " << schedule.timestep(k));
      errors.timesteps = std::max(errors.timesteps, late);
      const Tensor o = (1.3 * x + 0.4).tanh(), clean = predict_clean(schedule, k, x, o);
      x = step_mean(schedule, k, x, o, before).add(column((1.3 * k + 0.7 * i + 1).sin()), schedule.step(k).noise);
      before = clean;
    }
  }
  return errors;
}

/// The same for a class whose file describes betas.
inline SolverErrors solver_errors(const std::string& class_name, bool keeps_ratio,
                                  const std::function<SamplerSchedule(const NoiseSchedule&, int steps)>& schedule_of) {
  return solver_errors(class_name, keeps_ratio, [&](const nlohmann::json& file) {
    return schedule_of(NoiseSchedule(noise_schedule_config_from_json(file.at("config"))), file.at("steps").get<int>());
  });
}

}  // namespace reward_tuner::reference
