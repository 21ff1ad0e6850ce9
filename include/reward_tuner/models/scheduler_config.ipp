// Definitions of scheduler_config.hpp.
#pragma once
#include <reward_tuner/models/scheduler_config.hpp>

#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

namespace detail {

/// Maps a configuration word to its value, or throws with the list of words.
template <class Enum>
Enum one_of(const ConfigReader& reader, const std::string& key, const std::string& found,
            const std::vector<std::pair<std::string, Enum>>& words) {
  std::string wanted;
  for (const auto& [word, value] : words) {
    if (word == found) return value;
    wanted += (wanted.empty() ? "" : ", ") + word;
  }
  fail("[Config] ", reader.where(), ": unsupported '", key, "': found \"", found, "\", expected one of ", wanted);
}

}  // namespace detail

REWARD_TUNER_INLINE NoiseScheduleConfig noise_schedule_config_from_json(const nlohmann::json& json,
                                                                        const std::string& where) {
  ConfigReader reader(json, where);
  const std::string name = reader.optional<std::string>("_class_name", "DDIMScheduler");
  const bool clips = name == "DDIMScheduler" || name == "DDPMScheduler";
  NoiseScheduleConfig c;
  c.num_train_steps = reader.optional<std::int64_t>("num_train_timesteps", 1000);
  c.beta_start = reader.optional<double>("beta_start", 0.0001);
  c.beta_end = reader.optional<double>("beta_end", 0.02);
  c.beta_schedule =
      detail::one_of<BetaSchedule>(reader, "beta_schedule", reader.optional<std::string>("beta_schedule", "linear"),
                                   {{"linear", BetaSchedule::kLinear},
                                    {"scaled_linear", BetaSchedule::kScaledLinear},
                                    {"squaredcos_cap_v2", BetaSchedule::kSquaredCosine}});
  c.trained_betas = reader.optional<std::vector<double>>("trained_betas", {});
  c.zero_terminal_snr = reader.optional<bool>("rescale_betas_zero_snr", false);
  c.prediction = detail::one_of<PredictionType>(reader, "prediction_type",
                                                reader.optional<std::string>("prediction_type", "epsilon"),
                                                {{"epsilon", PredictionType::kEpsilon},
                                                 {"v_prediction", PredictionType::kVPrediction},
                                                 {"sample", PredictionType::kSample}});
  c.spacing = detail::one_of<TimestepSpacing>(reader, "timestep_spacing",
                                              reader.optional<std::string>("timestep_spacing", "leading"),
                                              {{"leading", TimestepSpacing::kLeading},
                                               {"trailing", TimestepSpacing::kTrailing},
                                               {"linspace", TimestepSpacing::kLinspace}});
  c.steps_offset = reader.optional<std::int64_t>("steps_offset", 0);
  c.final_alpha_one = reader.optional<bool>("set_alpha_to_one", name == "DDIMScheduler");
  const bool thresholds = reader.optional<bool>("thresholding", false),
             clamps = reader.optional<bool>("clip_sample", clips);
  // both: diffusers thresholds
  if (thresholds || clamps) c.clipping.kind = thresholds ? CleanClipping::Kind::kDynamic : CleanClipping::Kind::kRange;
  c.clipping.range = reader.optional<double>("clip_sample_range", 1.0);
  c.clipping.quantile = reader.optional<double>("dynamic_thresholding_ratio", 0.995);
  c.clipping.max = reader.optional<double>("sample_max_value", 1.0);
  reader.ignore({"variance_type", "skip_prk_steps", "interpolation_type", "use_karras_sigmas", "use_exponential_sigmas",
                 "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas", "sigma_min", "sigma_max", "timestep_type",
                 "final_sigmas_type", "solver_order", "solver_type", "algorithm_type", "lower_order_final",
                 "euler_at_final", "lambda_min_clipped"});  // settings of samplers, not of the noise levels
  reader.finish();
  REWARD_TUNER_CHECK(c.clipping.quantile >= 0 && c.clipping.quantile <= 1, "[Config] ", where,
                     ": expected a dynamic_thresholding_ratio in [0, 1], got ", c.clipping.quantile);
  REWARD_TUNER_CHECK(c.clipping.range > 0 && c.clipping.max > 0, "[Config] ", where,
                     ": expected a positive clip_sample_range and sample_max_value, got ", c.clipping.range, " and ",
                     c.clipping.max);
  return c;
}

REWARD_TUNER_INLINE NoiseScheduleConfig load_noise_schedule_config(const std::filesystem::path& file) {
  return noise_schedule_config_from_json(read_json(file), file.string());
}

REWARD_TUNER_INLINE nlohmann::json to_json(const NoiseScheduleConfig& c) {
  const auto word = [](const auto value, const std::vector<const char*>& words) {
    return std::string(words.at(static_cast<std::size_t>(value)));
  };
  nlohmann::json json = {{"_class_name", "DDIMScheduler"},
                         {"_diffusers_version", "0.42.1"},
                         {"num_train_timesteps", c.num_train_steps},
                         {"beta_start", c.beta_start},
                         {"beta_end", c.beta_end},
                         {"beta_schedule", word(c.beta_schedule, {"linear", "scaled_linear", "squaredcos_cap_v2"})},
                         {"trained_betas", nullptr},
                         {"rescale_betas_zero_snr", c.zero_terminal_snr},
                         {"prediction_type", word(c.prediction, {"epsilon", "v_prediction", "sample"})},
                         {"timestep_spacing", word(c.spacing, {"leading", "trailing", "linspace"})},
                         {"steps_offset", c.steps_offset},
                         {"set_alpha_to_one", c.final_alpha_one},
                         {"clip_sample", c.clipping.kind == CleanClipping::Kind::kRange},
                         {"clip_sample_range", c.clipping.range},
                         {"thresholding", c.clipping.kind == CleanClipping::Kind::kDynamic},
                         {"dynamic_thresholding_ratio", c.clipping.quantile},
                         {"sample_max_value", c.clipping.max}};
  if (!c.trained_betas.empty()) json["trained_betas"] = c.trained_betas;
  return json;
}

}  // namespace reward_tuner
