// Definitions of pipeline_family.hpp.
#pragma once
#include <reward_tuner/models/pipeline_family.hpp>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

namespace detail {

/// Whether the file names a part and says that there is none.
inline bool part_is_null(const nlohmann::json& index, const char* part) {
  const auto found = index.find(part);
  return found != index.end() && (found->is_null() || (found->is_array() && !found->empty() && (*found)[0].is_null()));
}

}  // namespace detail

REWARD_TUNER_INLINE PipelineFamily pipeline_family(const nlohmann::json& index, const std::string& where) {
  const auto name = ConfigReader(index, where).required<std::string>("_class_name");
  // the refiner goes on with images of the base model: it has the second text encoder alone and an aesthetics score
  const bool xl = name.starts_with("StableDiffusionXL");
  const auto score = index.find("requires_aesthetics_score");
  REWARD_TUNER_CHECK(!(xl && ((score != index.end() && *score == true) || detail::part_is_null(index, "text_encoder"))),
                     "[StableDiffusion] ", where, " is that of SDXL's refiner, a ", name,
                     " without the first text encoder: expected the base model, which makes images from prompts alone");
  if (name == "StableDiffusionXLPipeline") return PipelineFamily::kStableDiffusionXL;
  REWARD_TUNER_CHECK(name == "StableDiffusionPipeline", "[StableDiffusion] ", where,
                     " expected _class_name \"StableDiffusionPipeline\" or \"StableDiffusionXLPipeline\", got \"", name,
                     "\"");
  return PipelineFamily::kStableDiffusion;
}

}  // namespace reward_tuner
