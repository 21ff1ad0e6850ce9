// Reads and writes diffusers' scheduler_config.json: the noise levels and conventions a model was trained with.
#pragma once
#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/core/noise_schedule.hpp>

namespace reward_tuner {

/// Reads a scheduler_config.json of any Stable Diffusion scheduler. Which sampler runs is RewardTuner's choice, so the
/// class named in the file decides two defaults only: DDIM and DDPM clip the predicted sample unless the file says
/// otherwise (as diffusers does), the others never do.
NoiseScheduleConfig noise_schedule_config_from_json(const nlohmann::json& json,
                                                    const std::string& where = "scheduler/scheduler_config.json");

/// The same of a file, which errors name.
NoiseScheduleConfig load_noise_schedule_config(const std::filesystem::path& file);

/// The same as a DDIMScheduler's configuration, for a model folder.
nlohmann::json to_json(const NoiseScheduleConfig& c);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/scheduler_config.ipp>
#endif
