// scheduler_config.json: what is read (against diffusers, tests/golden/make_scheduler_golden.py), what is refused, what
// the pipeline class corrects, and that writing and reading agree.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/pipeline_corrections.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/samplers/ddpm.hpp>

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
  config.variance = DdpmVariance::kFixedLarge;
  config.clipping = {.kind = CleanClipping::Kind::kDynamic, .quantile = 0.9, .max = 2.0};
  CHECK(noise_schedule_config_from_json(to_json(config)) == config);
  config.solver = {.levels = LevelSpacing::kKarras,
                   .final_level = FinalLevel::kLowest,
                   .order = 3,
                   .type = "heun",
                   .algorithm = "sde-dpmsolver++",
                   .lower_order_final = false,
                   .euler_at_final = true,
                   .lambda_min_clipped = -5.1,
                   .lu_lambdas = false,
                   .log_linear = true,
                   .lowest = 0.05,
                   .highest = 10.0};
  CHECK(noise_schedule_config_from_json(to_json(config)) == config);
  for (const auto levels : {LevelSpacing::kExponential, LevelSpacing::kBeta}) {
    config.solver.levels = levels;
    CHECK(noise_schedule_config_from_json(to_json(config)) == config);
  }
}

TEST_CASE("what a file does not say of spacing and solvers is left to the samplers") {
  const NoiseScheduleConfig silent = noise_schedule_config_from_json(
      json{{"_class_name", "PNDMScheduler"}, {"use_karras_sigmas", false}, {"lambda_min_clipped", "-Infinity"}});
  CHECK_FALSE(silent.spacing);
  CHECK(silent.solver == SolverConfig{});
  CHECK(noise_schedule_config_from_json(json{{"timestep_spacing", "leading"}}).spacing == TimestepSpacing::kLeading);
  CHECK_THROWS_WITH_AS(
      noise_schedule_config_from_json(json{{"use_karras_sigmas", true}, {"use_beta_sigmas", true}}),
      doctest::Contains("expected one of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas"), Error);
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"final_sigmas_type", "one"}}),
                       doctest::Contains("expected one of zero, sigma_min"), Error);
}

TEST_CASE("a key left out has DDIM's default, whatever class wrote the file") {
  for (const char* name : {"DDIMScheduler", "DDPMScheduler", "PNDMScheduler", "EulerDiscreteScheduler"}) {
    CAPTURE(std::string(name));
    const NoiseScheduleConfig c = noise_schedule_config_from_json(json{{"_class_name", name}});
    CHECK(c.clipping.kind == CleanClipping::Kind::kRange);
    CHECK(c.final_alpha_one);
    CHECK(c.steps_offset == 0);
    CHECK(c.beta_start == 0.0001);
  }
}

/// What a file is read as, or the error.
std::pair<std::optional<NoiseScheduleConfig>, std::string> read(const json& file) {
  try {
    return {stable_diffusion_schedule(file, "scheduler_config.json"), ""};
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

TEST_CASE("every scheduler file that diffusers saves is read as its DDIM reads it, or is a named error") {
  const NoteScope quiet([](const std::string&) {});
  const json golden = read_json(std::filesystem::path(REWARD_TUNER_TEST_DATA) / "schedulers.json");
  const auto steps = golden.at("steps").get<int>();
  std::set<std::string> readable, refused;
  for (const auto& file : golden.at("files")) {
    const auto name = file.at("config").at("_class_name").get<std::string>();
    CAPTURE(file.at("config").dump());
    const auto answer = read(file.at("config"));
    const auto& config = answer.first;
    const auto& error = answer.second;
    CAPTURE(error);
    REQUIRE(config.has_value() == file.at("reads").get<bool>());
    (config ? readable : refused).insert(name);
    if (!config) {
      // the class and what it describes, or the key
      CHECK((error.find(name + ", which describes ") != std::string::npos ||
             error.find("flow matching") != std::string::npos || error.find("timestep_type") != std::string::npos));
      continue;
    }
    const NoiseSchedule schedule(*config);
    const auto times = schedule.timesteps(steps, config->spacing.value_or(TimestepSpacing::kLeading));
    CHECK(times == file.at("timesteps").get<std::vector<std::int64_t>>());
    for (std::size_t k = 0; k < times.size(); ++k)
      CHECK(std::abs(schedule.abar(times[k]) - file.at("alphas_cumprod")[k].get<double>()) < 2e-6);
    CHECK(std::abs(schedule.final_abar() - file.at("final_alpha_cumprod").get<double>()) < 2e-6);
    const std::array words{"epsilon", "v_prediction", "sample"};
    CHECK(file.at("prediction_type") == words[static_cast<std::size_t>(config->prediction)]);
    CHECK((config->clipping.kind == CleanClipping::Kind::kDynamic) == file.at("thresholding").get<bool>());
    CHECK(config->clipping.kind != CleanClipping::Kind::kRange);
    CHECK_FALSE(file.at("clip_sample").get<bool>());
  }
  CHECK(readable.size() >= 20);
  CHECK(readable.count("DPMSolverSDEScheduler"));
  CHECK(refused.count("FlowMatchEulerDiscreteScheduler"));
}

TEST_CASE("the model's file says which noise a DDPM step adds, unless the sampler does") {
  const auto deviation = [](const json& file, DdpmOptions options) {
    options.num_steps = 4;
    return Ddpm(options).schedule(NoiseSchedule(noise_schedule_config_from_json(file))).step(1).noise;
  };
  const json large{{"_class_name", "DDPMScheduler"}, {"variance_type", "fixed_large"}}, small{{"_class_name", "DDPM"}};
  CHECK(deviation(large, {}) == deviation(small, {.variance = DdpmVariance::kFixedLarge}));
  CHECK(deviation(large, {}) > deviation(small, {}));
  CHECK(deviation(large, {.variance = DdpmVariance::kFixedSmall}) == deviation(small, {}));
  CHECK(deviation(json{{"variance_type", "fixed_small_log"}}, {}) == deviation(small, {}));
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"variance_type", "learned_range"}}),
                       doctest::Contains("'variance_type': found \"learned_range\""), Error);
}

TEST_CASE("StableDiffusionPipeline's corrections are made and said once, for keys that the file decides") {
  std::vector<std::string> notes;
  const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
  const auto read_as = [&](const json& file) {
    notes.clear();
    return stable_diffusion_schedule(file, std::to_string(file.size()) + "/scheduler_config.json");
  };
  // an absent clip_sample is DDIM's true
  CHECK(read_as(json{{"_class_name", "DDIMScheduler"}}).clipping.kind == CleanClipping::Kind::kNone);
  CHECK(notes.size() == 2);
  CHECK(read_as(json{{"_class_name", "DDIMScheduler"}}).steps_offset == 1);
  CHECK(notes.empty());  // said before
  CHECK(read_as(json{{"_class_name", "PNDMScheduler"}, {"steps_offset", 1}}).clipping.kind ==
        CleanClipping::Kind::kNone);
  CHECK(notes.empty());  // that class never clips
  const auto both = read_as(json{{"clip_sample", true}, {"thresholding", true}, {"steps_offset", 1}});
  CHECK(both.clipping.kind == CleanClipping::Kind::kDynamic);
  CHECK(notes.empty());
}

TEST_CASE("what changes the noise levels and is not known is a named error") {
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"beta_schedule", "sigmoid"}}),
                       doctest::Contains("expected one of linear, scaled_linear, squaredcos_cap_v2"), Error);
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"prediction_type", "flow"}}),
                       doctest::Contains("prediction_type"), Error);
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"use_flow_sigmas", true}}), doctest::Contains("flow"),
                       Error);
  CHECK_THROWS_WITH_AS(noise_schedule_config_from_json(json{{"shift", 3.0}}), doctest::Contains("'shift'"), Error);
  CHECK_THROWS_WITH_AS(to_json(NoiseScheduleConfig{.prediction = PredictionType::kFlow}),
                       doctest::Contains("expected a network trained on betas, got one for flow matching"), Error);
}

}  // namespace scheduler_config_test
