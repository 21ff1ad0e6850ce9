// Reads and writes diffusers' scheduler_config.json: the noise levels and conventions a model was trained with.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/core/noise_schedule.hpp>

namespace reward_tuner {

/// Reads a scheduler_config.json of any scheduler class that can stand beside Stable Diffusion, as diffusers' DDIM and
/// DDPM samplers read it: which sampler runs is RewardTuner's choice, so a key that the file leaves out has DDIM's
/// default whatever class wrote the file. What it says of DPM-Solver and Euler is kept for DpmSolver and Euler, with
/// whose classes' defaults the spacing and those settings are completed. Settings of other samplers do not count.
/// Errors: classes that describe something else than the betas of a discrete DDPM (flow matching, EDM, consistency
/// models, score SDEs, unCLIP, VQ, IPNDM, ...), unknown keys, values that are not built here.
NoiseScheduleConfig noise_schedule_config_from_json(const nlohmann::json& json,
                                                    const std::string& where = "scheduler/scheduler_config.json");

/// The same as a DDIMScheduler's configuration, for a model folder.
nlohmann::json to_json(const NoiseScheduleConfig& c);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/scheduler_config.ipp>
#endif
