// The published configurations: they build networks of the published sizes. Against diffusers: its classes built from
// the same JSON have the same numbers of parameters.
#include <doctest/doctest.h>
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/new_weights.hpp>
#include <reward_tuner/models/known_configurations.hpp>
#include <reward_tuner/models/pipeline_family.hpp>
#include <reward_tuner/models/pipeline_networks.hpp>
#include <reward_tuner/models/scheduler_config.hpp>

namespace known_configurations_test {

using namespace reward_tuner;

TEST_CASE("known_configurations: networks of the published sizes") {
  const std::map<KnownModel, std::map<std::string, std::int64_t>> sizes = {
      {KnownModel::kSd15, {{"unet", 859520964}, {"vae", 83653863}, {"text_encoder", 123060480}}},
      {KnownModel::kSd21Base, {{"unet", 865910724}, {"vae", 83653863}, {"text_encoder", 340387840}}},
      {KnownModel::kSd21, {{"unet", 865910724}, {"vae", 83653863}, {"text_encoder", 340387840}}},
      {KnownModel::kSdxlBase,
       {{"unet", 2567463684}, {"vae", 83653863}, {"text_encoder", 123060480}, {"text_encoder_2", 694659840}}}};
  const NewWeightsScope shapes_alone(at::TensorOptions().device(at::kMeta));
  for (const auto& entry : sizes) {
    const auto& model = entry.first;
    CAPTURE(known_model_name(model));
    for (const auto& network : entry.second) {
      const auto& part = network.first;
      const auto& size = network.second;
      CAPTURE(part);
      std::int64_t count = 0;
      for (const Tensor& p : make_network(part, known_configuration(model, part), part)->parameters())
        count += p.numel();
      CHECK(count == size);
      CHECK(known_configuration(model, "model_index").contains(part));
    }
    const bool xl = model == KnownModel::kSdxlBase;
    CHECK(known_configuration(model, "text_encoder_2").is_null() == !xl);
    CHECK(pipeline_family(known_configuration(model, "model_index"), "index") ==
          (xl ? PipelineFamily::kStableDiffusionXL : PipelineFamily::kStableDiffusion));
  }
  CHECK_THROWS_AS(make_network("safety_checker", {}, "x"), Error);
}

TEST_CASE("known_configurations: noise schedules") {
  const auto schedule = [](KnownModel model) {
    return noise_schedule_config_from_json(known_configuration(model, "scheduler"));
  };
  NoiseScheduleConfig wanted;  // Stable Diffusion 1's
  CHECK(schedule(KnownModel::kSd15) == wanted);
  CHECK(schedule(KnownModel::kSd21Base) == wanted);
  NoiseScheduleConfig xl = schedule(KnownModel::kSdxlBase);  // its scheduler is Euler's, which has settings of its own
  CHECK(xl.spacing == TimestepSpacing::kLeading);
  CHECK(xl.solver.log_linear == false);
  xl.spacing = wanted.spacing;
  xl.solver = wanted.solver;
  CHECK(xl == wanted);
  wanted.prediction = PredictionType::kVPrediction;
  CHECK(schedule(KnownModel::kSd21) == wanted);
}

}  // namespace known_configurations_test
