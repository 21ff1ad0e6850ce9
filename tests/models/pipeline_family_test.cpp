// Which pipeline a model_index.json describes, and what other folders say.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/pipeline_family.hpp>

namespace pipeline_family_test {

using namespace reward_tuner;
using nlohmann::json;

TEST_CASE("the class of model_index.json is the family") {
  CHECK(pipeline_family({{"_class_name", "StableDiffusionPipeline"}}, "x") == PipelineFamily::kStableDiffusion);
  const json parts = {"transformers", "CLIPTextModel"};
  json xl{{"_class_name", "StableDiffusionXLPipeline"}, {"text_encoder", parts}, {"requires_aesthetics_score", false}};
  CHECK(pipeline_family(xl, "x") == PipelineFamily::kStableDiffusionXL);
  for (const char* name : {"StableDiffusion3Pipeline", "StableDiffusionXLImg2ImgPipeline", "FluxPipeline"})
    CHECK_THROWS_WITH_AS(pipeline_family({{"_class_name", name}}, "DIR/model_index.json"),
                         doctest::Contains((std::string("DIR/model_index.json expected _class_name "
                                                        "\"StableDiffusionPipeline\" or "
                                                        "\"StableDiffusionXLPipeline\", got \"") +
                                            name)
                                               .c_str()),
                         Error);
  CHECK_THROWS_AS(pipeline_family(json::object(), "x"), Error);
}

TEST_CASE("SDXL's refiner is named, whatever class its folder has") {
  const json none = {nullptr, nullptr};
  const auto refused = [](const json& index) {
    CHECK_THROWS_WITH_AS(pipeline_family(index, "x"), doctest::Contains("SDXL's refiner"), Error);
  };
  refused({{"_class_name", "StableDiffusionXLImg2ImgPipeline"}, {"requires_aesthetics_score", true}});
  refused({{"_class_name", "StableDiffusionXLPipeline"}, {"requires_aesthetics_score", true}});
  refused({{"_class_name", "StableDiffusionXLPipeline"}, {"text_encoder", none}});
  refused({{"_class_name", "StableDiffusionXLImg2ImgPipeline"}, {"text_encoder", nullptr}});
}

}  // namespace pipeline_family_test
