// What diffusers' pipeline classes change in the settings of a folder when it loads them, so that a folder means
// here what the pipeline class makes of it.
#pragma once
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>

namespace reward_tuner {

/// The noise schedule of a scheduler_config.json as StableDiffusionPipeline uses it (diffusers 0.42.1, its
/// constructor): steps_offset becomes 1 and clip_sample false, whatever the file says; thresholding stays. A note says
/// what was changed.
NoiseScheduleConfig stable_diffusion_schedule(const nlohmann::json& json, const std::string& where);

/// The noise schedule of a scheduler_config.json as StableDiffusionXLPipeline uses it: that class corrects nothing. A
/// note says where the file leaves clip_sample out and DDIM's default clips.
NoiseScheduleConfig stable_diffusion_xl_schedule(const nlohmann::json& json, const std::string& where);

/// The UNet's configuration as StableDiffusionPipeline uses it: a sample_size below 64 becomes 64 where the file was
/// written by diffusers before 0.9.0, which stored a wrong default. A note says so.
UNet2DConditionConfig stable_diffusion_unet(const nlohmann::json& json, const std::string& where);

/// The UNet's configuration as the family's class uses it: `stable_diffusion_unet`, or uncorrected for XL.
UNet2DConditionConfig pipeline_unet(PipelineFamily family, const nlohmann::json& json, const std::string& where);

/// The type to which a pipeline rounds the weights of a transformers part: transformers 5 reads them in the dtype that
/// the part's config.json names. Empty unless that is narrower than float.
std::optional<at::ScalarType> transformers_dtype(const nlohmann::json& json);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/pipeline_corrections.ipp>
#endif
