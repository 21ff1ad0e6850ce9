// Which pipeline a folder's model_index.json describes, and what a folder of another says.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace reward_tuner {

/// The pipelines of diffusers that StableDiffusion stands for.
enum class PipelineFamily {
  kStableDiffusion,    ///< StableDiffusionPipeline: SD 1.x and 2.x, one text encoder
  kStableDiffusionXL,  ///< StableDiffusionXLPipeline: two text encoders, pooled embedding, time ids
};

/// The family of a model_index.json; `where` names the file.
/// Errors: another class; SDXL's refiner, by name.
PipelineFamily pipeline_family(const nlohmann::json& index, const std::string& where);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/pipeline_family.ipp>
#endif
