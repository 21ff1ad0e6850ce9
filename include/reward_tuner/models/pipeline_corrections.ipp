// Definitions of pipeline_corrections.hpp.
#pragma once
#include <reward_tuner/models/pipeline_corrections.hpp>

#include <cstdio>
#include <tuple>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/models/scheduler_config.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE NoiseScheduleConfig stable_diffusion_schedule(const nlohmann::json& json,
                                                                  const std::string& where) {
  NoiseScheduleConfig c = noise_schedule_config_from_json(json, where);
  if (c.steps_offset != 1)
    note("[StableDiffusion] ", where, ": steps_offset ", c.steps_offset,
         " is taken as 1, as diffusers' StableDiffusionPipeline does");
  c.steps_offset = 1;
  if (c.clipping.kind == CleanClipping::Kind::kRange) {
    // Classes other than these do not clip; that DDIM would, with the key left out, is no news then.
    const std::string name = json.value("_class_name", "");
    if (json.contains("clip_sample") || name.starts_with("DDIM") || name.starts_with("DDPM"))
      note("[StableDiffusion] ", where, ": clip_sample true", json.contains("clip_sample") ? "" : " (the default)",
           " is taken as false, as diffusers' StableDiffusionPipeline does");
    c.clipping.kind = CleanClipping::Kind::kNone;
  }
  return c;
}

REWARD_TUNER_INLINE NoiseScheduleConfig stable_diffusion_xl_schedule(const nlohmann::json& json,
                                                                     const std::string& where) {
  NoiseScheduleConfig c = noise_schedule_config_from_json(json, where);
  if (c.clipping.kind == CleanClipping::Kind::kRange && !json.contains("clip_sample"))
    note("[StableDiffusion] ", where, ": clip_sample is left out: DDIM and DDPM clip what is clean to ",
         c.clipping.range,
         ", as in diffusers' StableDiffusionXLPipeline; write \"clip_sample\": false into the file "
         "unless that is meant");
  return c;
}

namespace detail {

/// Whether a configuration says that diffusers before 0.9.0 wrote it.
inline bool before_0_9(const nlohmann::json& json) {
  const auto found = json.find("_diffusers_version");
  if (found == json.end() || !found->is_string()) return false;
  int major = 0, minor = 0;
  return std::sscanf(found->get_ref<const std::string&>().c_str(), "%d.%d", &major, &minor) == 2 &&
         std::tuple(major, minor) < std::tuple(0, 9);
}

}  // namespace detail

REWARD_TUNER_INLINE UNet2DConditionConfig stable_diffusion_unet(const nlohmann::json& json, const std::string& where) {
  UNet2DConditionConfig c = UNet2DConditionConfig::from_json(json, where);
  const bool one_number = json.contains("sample_size") && json.at("sample_size").is_number_integer();
  if (one_number && c.sample_size->height < 64 && detail::before_0_9(json)) {
    note("[StableDiffusion] ", where, ": sample_size ", c.sample_size->height,
         " of a file from before diffusers 0.9.0 ",
         "is taken as 64, as diffusers' StableDiffusionPipeline does; give height and width for another size");
    c.sample_size = 64;
  }
  return c;
}

REWARD_TUNER_INLINE UNet2DConditionConfig pipeline_unet(PipelineFamily family, const nlohmann::json& json,
                                                        const std::string& where) {
  return family == PipelineFamily::kStableDiffusionXL ? UNet2DConditionConfig::from_json(json, where)
                                                      : stable_diffusion_unet(json, where);
}

REWARD_TUNER_INLINE std::optional<at::ScalarType> transformers_dtype(const nlohmann::json& json) {
  for (const char* key : {"dtype", "torch_dtype"}) {  // of transformers 5 and 4
    if (!json.contains(key) || json.at(key).is_null()) continue;
    if (json.at(key) == "float16") return at::kHalf;
    if (json.at(key) == "bfloat16") return at::kBFloat16;
    return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace reward_tuner
