// Definitions of peft_config.hpp.
#pragma once
#include <reward_tuner/lora/peft_config.hpp>

#include <cmath>
#include <map>
#include <regex>
#include <set>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors_header.hpp>

namespace reward_tuner {

namespace detail {

/// null, false, "", "none", [] and {}: a setting that is off.
inline bool is_off(const nlohmann::ordered_json& value) {
  return value.is_null() || value == false || value == "none" ||
         (value.is_string() ? value.get_ref<const std::string&>().empty() : !value.is_primitive() && value.empty());
}

/// Settings that, unless off, make of the factors something else than a LoRA.
inline const std::map<std::string, std::string>& foreign_settings() {
  static const std::map<std::string, std::string> kAll = {{"use_dora", "a DoRA"},
                                                          {"use_qalora", "a QA-LoRA"},
                                                          {"bias", "a LoRA with biases"},
                                                          {"lora_bias", "a LoRA with biases"},
                                                          {"modules_to_save", "a LoRA with whole layers beside it"},
                                                          {"trainable_token_indices", "a LoRA with trained tokens"},
                                                          {"alora_invocation_tokens", "an activated LoRA"},
                                                          {"monteclora_config", "a MonteCLoRA"},
                                                          {"kasa_config", "a KaSA"},
                                                          {"use_bdlora", "a BD-LoRA"},
                                                          {"arrow_config", "an Arrow router"},
                                                          {"layer_replication", "a LoRA on repeated layers"},
                                                          {"target_parameters", "a LoRA on bare parameters"},
                                                          {"fan_in_fan_out", "a LoRA on transposed weights"}};
  return kAll;
}

/// Settings that do not change what the factors mean, beside those that are read.
inline const std::set<std::string>& settings_without_effect() {
  static const std::set<std::string> kAll = {"r",
                                             "rank_pattern",
                                             "target_modules",
                                             "exclude_modules",
                                             "layers_to_transform",
                                             "lora_dropout",
                                             "layers_pattern",
                                             "loftq_config",
                                             "eva_config",
                                             "corda_config",
                                             "lora_ga_config",
                                             "velora_config",
                                             "megatron_config",
                                             "megatron_core",
                                             "qalora_group_size",
                                             "runtime_config",
                                             "ensure_weight_tying",
                                             "task_type",
                                             "auto_mapping",
                                             "peft_version",
                                             "revision",
                                             "inference_mode",
                                             "base_model_name_or_path"};
  return kAll;
}

}  // namespace detail

REWARD_TUNER_INLINE PeftConfig PeftConfig::parse(const std::string& text, const std::string& where,
                                                 const std::string& part) {
  // the checks of parse_json, then once more in the order of the file, which decides between patterns
  REWARD_TUNER_CHECK(parse_json(text, where).is_object(), "[LoRA] ", where, " must be an object, got ",
                     detail::shortened(text));
  const auto all = nlohmann::ordered_json::parse(text);
  auto settings = nlohmann::ordered_json::object();
  for (const auto& [key, value] : all.items()) {
    if (part.empty()) settings[key] = value;
    else if (key.starts_with(part + ".")) settings[key.substr(part.size() + 1)] = value;
  }
  PeftConfig config;
  config.where_ = where;
  if (!settings.empty()) config.read(settings);
  return config;
}

REWARD_TUNER_INLINE void PeftConfig::read(const nlohmann::ordered_json& settings) {
  given_ = true;
  const auto excerpt = [](const nlohmann::ordered_json& value) { return detail::shortened(value.dump()); };
  for (const auto& [key, value] : settings.items()) {
    if (const auto foreign = detail::foreign_settings().find(key); foreign != detail::foreign_settings().end()) {
      REWARD_TUNER_CHECK(detail::is_off(value), "[LoRA] ", where_, " is that of ", foreign->second, " (", key, " is ",
                         excerpt(value), "), expected a plain LoRA");
    } else if (key == "peft_type") {
      REWARD_TUNER_CHECK(value.is_null() || value == "LORA", "[LoRA] ", where_,
                         " is that of another adapter: peft_type ", excerpt(value), ", expected \"LORA\"");
    } else if (key == "init_lora_weights") {
      // the others (pissa, olora, corda, loftq, lora_ga) change the base weights as well
      const bool plain = value.is_null() || value.is_boolean() || value == "gaussian" || value == "eva" ||
                         value == "orthogonal" || value == "mica";
      REWARD_TUNER_CHECK(plain, "[LoRA] ", where_, ": an adapter with init_lora_weights ", excerpt(value),
                         " belongs to base weights that this start has changed; convert it to a plain LoRA with peft's "
                         "save_pretrained(path_initial_model_for_weight_conversion=...)");
    } else if (key == "use_rslora") {
      REWARD_TUNER_CHECK(value.is_null() || value.is_boolean(), "[LoRA] ", where_,
                         ": use_rslora must be a boolean, got ", excerpt(value));
      rank_stabilized_ = value == true;
    } else if (key == "alpha_pattern") {
      REWARD_TUNER_CHECK(value.is_null() || value.is_object(), "[LoRA] ", where_,
                         ": alpha_pattern must be an object, got ", excerpt(value));
      if (value.is_object())
        for (const auto& [pattern, alpha] : value.items()) {
          REWARD_TUNER_CHECK(alpha.is_number(), "[LoRA] ", where_, ": alpha_pattern ", detail::shortened(pattern),
                             " must be a number, got ", excerpt(alpha));
          patterns_.emplace_back(pattern, alpha.get<double>());
        }
    } else if (key != "lora_alpha") {
      REWARD_TUNER_CHECK(detail::settings_without_effect().count(key) != 0 || detail::is_off(value), "[LoRA] ", where_,
                         ": the setting ", detail::shortened(key), " is not known, and is ", excerpt(value));
    }
  }
  REWARD_TUNER_CHECK(settings.contains("lora_alpha") && settings["lora_alpha"].is_number(), "[LoRA] ", where_,
                     " has no number lora_alpha");
  alpha_ = settings["lora_alpha"].get<double>();
}

REWARD_TUNER_INLINE double PeftConfig::scale(const std::string& path, std::int64_t rank) const {
  constexpr std::size_t kMaxPattern = 1000;  // std::regex recurses
  double alpha = alpha_;
  for (const auto& [pattern, value] : patterns_) {
    REWARD_TUNER_CHECK(pattern.size() <= kMaxPattern, "[LoRA] ", where_, ": the alpha_pattern ",
                       detail::shortened(pattern), " has ", pattern.size(), " bytes, expected at most ", kMaxPattern);
    try {
      if (std::regex_search(path, std::regex("^(.*\\.)?(" + pattern + ")$"))) {
        alpha = value;
        break;
      }
    } catch (const std::regex_error& error) {
      detail::fail("[LoRA] ", where_, ": the alpha_pattern ", detail::shortened(pattern),
                   " is not a regular expression that is understood: ", error.what());
    }
  }
  const auto r = static_cast<double>(rank);
  return alpha / (rank_stabilized_ ? std::sqrt(r) : r);
}

}  // namespace reward_tuner
