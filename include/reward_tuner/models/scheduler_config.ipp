// Definitions of scheduler_config.hpp.
#pragma once
#include <reward_tuner/models/scheduler_config.hpp>

#include <array>
#include <optional>
#include <string_view>
#include <utility>
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

/// What a scheduler class describes in place of the betas of a discrete DDPM; nullptr if nothing else is known of it.
/// The names are parts of diffusers' class names.
inline const char* other_kind_of_scheduler(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, const char*>, 23> kKinds{
      {{"FlowMatch", "flow matching"},
       {"FlowMap", "flow matching"},
       {"LTXEuler", "flow matching"},
       {"Helios", "flow matching"},
       {"MiniMax", "flow matching"},
       {"Piflow", "flow matching"},
       {"EDM", "EDM's continuous noise levels"},
       {"KarrasVe", "EDM's continuous noise levels"},
       {"CosineDPM", "EDM's continuous noise levels"},
       {"ScoreSde", "a score SDE"},
       {"CMStochastic", "a consistency model"},
       {"ConsistencyDecoder", "a consistency model"},
       {"SCM", "a consistency model"},
       {"UnCLIP", "unCLIP"},
       {"VQDiffusion", "VQ diffusion of tokens"},
       {"Amused", "diffusion of tokens"},
       {"BlockRefinement", "diffusion of tokens"},
       {"DiscreteDDIM", "diffusion of tokens"},
       {"EntropyBound", "diffusion of tokens"},
       {"IPNDM", "IPNDM's own noise levels"},
       {"CogVideoX", "shifted noise levels"},
       {"Wuerstchen", "Wuerstchen's continuous noise levels"},
       {"Proteina", "noise of proteins"}}};
  for (const auto& [part, kind] : kKinds)
    if (name.find(part) != std::string_view::npos) return kind;
  return nullptr;
}

/// The value of a key that may be absent or null.
template <class T>
std::optional<T> said(ConfigReader& reader, const std::string& key) {
  return reader.has_value(key) ? std::optional(reader.required<T>(key)) : std::nullopt;
}

/// What the file says of samplers at noise levels of their own; which values are built, they say themselves.
inline SolverConfig read_solver(ConfigReader& reader) {
  SolverConfig c;
  for (const auto& [key, spacing] : {std::pair{"use_karras_sigmas", LevelSpacing::kKarras},
                                     std::pair{"use_exponential_sigmas", LevelSpacing::kExponential},
                                     std::pair{"use_beta_sigmas", LevelSpacing::kBeta}}) {
    const auto use = said<bool>(reader, key);
    if (!use.value_or(false)) continue;
    REWARD_TUNER_CHECK(!c.levels, "[Config] ", reader.where(),
                       ": expected one of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas to be true, "
                       "got two");
    c.levels = spacing;
  }
  if (const auto word = said<std::string>(reader, "final_sigmas_type"))
    c.final_level = one_of<FinalLevel>(reader, "final_sigmas_type", *word,
                                       {{"zero", FinalLevel::kZero}, {"sigma_min", FinalLevel::kLowest}});
  if (const auto word = said<std::string>(reader, "interpolation_type"))
    c.log_linear = one_of<bool>(reader, "interpolation_type", *word, {{"linear", false}, {"log_linear", true}});
  c.order = said<int>(reader, "solver_order");
  c.type = said<std::string>(reader, "solver_type");
  c.algorithm = said<std::string>(reader, "algorithm_type");
  c.lower_order_final = said<bool>(reader, "lower_order_final");
  c.euler_at_final = said<bool>(reader, "euler_at_final");
  c.lu_lambdas = said<bool>(reader, "use_lu_lambdas");
  c.lowest = said<double>(reader, "sigma_min");
  c.highest = said<double>(reader, "sigma_max");
  // minus infinity, the default, is no number of JSON
  if (reader.optional<nlohmann::json>("lambda_min_clipped", nullptr) != "-Infinity")
    c.lambda_min_clipped = said<double>(reader, "lambda_min_clipped");
  return c;
}

/// The same as a file says it.
inline void write_solver(nlohmann::json& json, const SolverConfig& c) {
  const auto put = [&](const char* key, const auto& value) {
    if (value) json[key] = *value;
  };
  if (c.levels == LevelSpacing::kKarras) json["use_karras_sigmas"] = true;
  if (c.levels == LevelSpacing::kExponential) json["use_exponential_sigmas"] = true;
  if (c.levels == LevelSpacing::kBeta) json["use_beta_sigmas"] = true;
  if (c.final_level) json["final_sigmas_type"] = *c.final_level == FinalLevel::kZero ? "zero" : "sigma_min";
  if (c.log_linear) json["interpolation_type"] = *c.log_linear ? "log_linear" : "linear";
  put("solver_order", c.order);
  put("solver_type", c.type);
  put("algorithm_type", c.algorithm);
  put("lower_order_final", c.lower_order_final);
  put("euler_at_final", c.euler_at_final);
  put("use_lu_lambdas", c.lu_lambdas);
  put("sigma_min", c.lowest);
  put("sigma_max", c.highest);
  put("lambda_min_clipped", c.lambda_min_clipped);
}

/// Settings of samplers that are not built here, which say nothing of the noise levels that the network was trained
/// with.
inline void ignore_sampler_settings(ConfigReader& reader) {
  reader.ignore({"original_inference_steps", "skip_prk_steps", "solver_p", "predictor_order", "corrector_order",
                 "disable_corrector", "predict_x0", "tau_func", "noise_sampler_seed", "timestep_scaling", "eta",
                 "tensor_format"});
  // only with flow sigmas, which are refused
  reader.ignore({"flow_shift", "time_shift_type", "use_dynamic_shifting", "shift_terminal"});
}

}  // namespace detail

REWARD_TUNER_INLINE NoiseScheduleConfig noise_schedule_config_from_json(const nlohmann::json& json,
                                                                        const std::string& where) {
  ConfigReader reader(json, where);
  const auto name = reader.optional<std::string>("_class_name", "");
  const char* other = detail::other_kind_of_scheduler(name);
  REWARD_TUNER_CHECK(!other, "[Config] ", where,
                     ": unsupported scheduler: expected a class with the betas of a discrete DDPM (DDIMScheduler, "
                     "PNDMScheduler, EulerDiscreteScheduler, ...), got ",
                     name, ", which describes ", other);
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
  const auto variance = reader.optional<std::string>("variance_type", "fixed_small");
  c.variance = detail::one_of<DdpmVariance>(reader, "variance_type", variance,
                                            {{"fixed_small", DdpmVariance::kFixedSmall},
                                             {"fixed_small_log", DdpmVariance::kFixedSmall},
                                             {"fixed_large", DdpmVariance::kFixedLarge}});
  reader.expect("use_flow_sigmas", false, "a network for flow matching");
  reader.expect("predict_epsilon", true, "a key of early files; prediction_type says what the network predicts");
  reader.expect("timestep_values", nullptr, "a key of early files for timesteps of their own");
  reader.expect("timestep_type", "discrete", "the network would be told noise levels, not timesteps");
  const auto prediction = reader.optional<std::string>("prediction_type", "epsilon");
  REWARD_TUNER_CHECK(prediction != "flow_prediction", "[Config] ", where,
                     ": unsupported scheduler: expected a network that predicts noise, velocity or sample, got "
                     "prediction_type \"flow_prediction\", which is flow matching");
  c.prediction = detail::one_of<PredictionType>(reader, "prediction_type", prediction,
                                                {{"epsilon", PredictionType::kEpsilon},
                                                 {"v_prediction", PredictionType::kVPrediction},
                                                 {"sample", PredictionType::kSample}});
  if (const auto word = detail::said<std::string>(reader, "timestep_spacing"))
    c.spacing = detail::one_of<TimestepSpacing>(reader, "timestep_spacing", *word,
                                                {{"leading", TimestepSpacing::kLeading},
                                                 {"trailing", TimestepSpacing::kTrailing},
                                                 {"linspace", TimestepSpacing::kLinspace}});
  c.steps_offset = reader.optional<std::int64_t>("steps_offset", 0);
  c.final_alpha_one = reader.optional<bool>("set_alpha_to_one", true);
  const bool thresholds = reader.optional<bool>("thresholding", false),
             clamps = reader.optional<bool>("clip_sample", true);
  // both: diffusers thresholds
  if (thresholds || clamps) c.clipping.kind = thresholds ? CleanClipping::Kind::kDynamic : CleanClipping::Kind::kRange;
  c.clipping.range = reader.optional<double>("clip_sample_range", 1.0);
  c.clipping.quantile = reader.optional<double>("dynamic_thresholding_ratio", 0.995);
  c.clipping.max = reader.optional<double>("sample_max_value", 1.0);
  c.solver = detail::read_solver(reader);
  detail::ignore_sampler_settings(reader);
  reader.finish();
  REWARD_TUNER_CHECK(c.clipping.quantile >= 0 && c.clipping.quantile <= 1, "[Config] ", where,
                     ": expected a dynamic_thresholding_ratio in [0, 1], got ", c.clipping.quantile);
  REWARD_TUNER_CHECK(c.clipping.range > 0 && c.clipping.max > 0, "[Config] ", where,
                     ": expected a positive clip_sample_range and sample_max_value, got ", c.clipping.range, " and ",
                     c.clipping.max);
  return c;
}

REWARD_TUNER_INLINE nlohmann::json to_json(const NoiseScheduleConfig& c) {
  REWARD_TUNER_CHECK(c.prediction != PredictionType::kFlow,
                     "[Config] scheduler_config.json expected a network trained on betas, got one for flow matching");
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
                         {"steps_offset", c.steps_offset},
                         {"set_alpha_to_one", c.final_alpha_one},
                         {"clip_sample", c.clipping.kind == CleanClipping::Kind::kRange},
                         {"clip_sample_range", c.clipping.range},
                         {"thresholding", c.clipping.kind == CleanClipping::Kind::kDynamic},
                         {"dynamic_thresholding_ratio", c.clipping.quantile},
                         {"sample_max_value", c.clipping.max}};
  if (c.variance == DdpmVariance::kFixedLarge) json["variance_type"] = "fixed_large";
  if (!c.trained_betas.empty()) json["trained_betas"] = c.trained_betas;
  if (c.spacing) json["timestep_spacing"] = word(*c.spacing, {"leading", "trailing", "linspace"});
  detail::write_solver(json, c.solver);
  return json;
}

}  // namespace reward_tuner
