// scheduler_config.json: what is read, what is refused, and that writing and reading agree.
#include <doctest/doctest.h>

#include <reward_tuner/models/scheduler_config.hpp>

namespace scheduler_config_test {

using namespace reward_tuner;
using nlohmann::json;

TEST_CASE("a written scheduler configuration reads back equal") {
  NoiseScheduleConfig config;
  CHECK(noise_schedule_config_from_json(to_json(config)) == config);
  config.prediction = PredictionType::kVPrediction;
  config.spacing = TimestepSpacing::kTrailing;
  config.beta_schedule = BetaSchedule::kSquaredCosine;
  config.zero_terminal_snr = config.final_alpha_one = true;
  config.steps_offset = 0;
  config.clipping = {.kind = CleanClipping::Kind::kDynamic, .quantile = 0.9, .max = 2.0};
  CHECK(noise_schedule_config_from_json(to_json(config)) == config);
}

TEST_CASE("a key left out means what diffusers takes for that class") {
  const auto clipping = [](const char* name) {
    return noise_schedule_config_from_json(json{{"_class_name", name}}).clipping.kind;
  };
  CHECK(clipping("DDIMScheduler") == CleanClipping::Kind::kRange);
  CHECK(clipping("DDPMScheduler") == CleanClipping::Kind::kRange);
  CHECK(clipping("PNDMScheduler") == CleanClipping::Kind::kNone);
  CHECK(noise_schedule_config_from_json(json{{"_class_name", "DDIMScheduler"}}).final_alpha_one);
  CHECK_FALSE(noise_schedule_config_from_json(json{{"_class_name", "PNDMScheduler"}}).final_alpha_one);
}

TEST_CASE("what changes the noise levels and is not known is a named error") {
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"beta_schedule", "sigmoid"}}),
                       doctest::Contains("expected one of linear, scaled_linear, squaredcos_cap_v2"), Error);
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"prediction_type", "flow"}}),
                       doctest::Contains("prediction_type"), Error);
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"shift", 3.0}}), doctest::Contains("'shift'"), Error);
}

}  // namespace scheduler_config_test
