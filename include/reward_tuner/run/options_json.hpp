// The policies of a tuner and their options as JSON: for config.json, the comparison on a resume, and reports.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>

namespace reward_tuner {

/// What stands in place of options that say no fields.
inline constexpr std::string_view kNotCovered = "not covered";

namespace detail {

/// Of "... [with auto Value = reward_tuner::Memory::kRetain; ...]", as compilers call a function template, "kRetain".
constexpr std::string_view last_word(std::string_view function) {
  function = function.substr(0, std::min(function.find(';'), function.rfind(']')));
  return function.substr(function.find_last_of(" =:)") + 1);
}
template <class T>
constexpr std::string_view type_name() {
  return last_word(__PRETTY_FUNCTION__);
}
template <auto Value>
constexpr std::string_view value_name() {
  return last_word(__PRETTY_FUNCTION__);
}

/// "kRetain"; the number if none of the first 64 values is meant.
template <class Enum>
std::string enumerator_name(Enum value) {
  std::string name = std::to_string(static_cast<std::int64_t>(value));
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((static_cast<Enum>(I) == value ? void(name = value_name<static_cast<Enum>(I)>()) : void()), ...);
  }(std::make_index_sequence<64>());
  return name;
}

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_variant = false;
template <class... T>
inline constexpr bool is_variant<std::variant<T...>> = true;

}  // namespace detail

/// A value of options: numbers, text, enumerations by name, optionals (null), lists, variants (with the held type's
/// name), aggregates with REWARD_TUNER_FIELDS, and whether a pointer holds something. Anything else is kNotCovered.
template <class T>
nlohmann::json options_json(const T& value) {
  if constexpr (std::is_arithmetic_v<T> || std::is_convertible_v<const T&, std::string_view>) {
    return value;
  } else if constexpr (std::is_enum_v<T>) {
    return detail::enumerator_name(value);
  } else if constexpr (detail::is_optional<T>) {
    return value ? options_json(*value) : nlohmann::json(nullptr);
  } else if constexpr (detail::is_vector<T>) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& item : value) list.push_back(options_json(item));
    return list;
  } else if constexpr (detail::is_variant<T>) {
    return std::visit(
        []<class Held>(const Held& held) {
          return nlohmann::json{{std::string(detail::type_name<Held>()), options_json(held)}};
        },
        value);
  } else if constexpr (KnownFields<T>) {
    nlohmann::json object = nlohmann::json::object();
    if constexpr (!std::is_empty_v<T>)
      visit_fields(value,
                   [&](std::string_view name, const auto& field) { object[std::string(name)] = options_json(field); });
    return object;
  } else if constexpr (std::is_constructible_v<bool, const T&>) {  // shared data: what it holds is not compared
    return static_cast<bool>(value) ? "given" : "none";
  } else {
    return kNotCovered;
  }
}

/// What a reward is called, with its options if it says them.
template <class Reward>
nlohmann::json reward_json(const Reward& reward) {
  nlohmann::json out{{"policy", policy_name(reward)}};
  if constexpr (requires { reward.options(); })
    if constexpr (KnownFields<std::remove_cvref_t<decltype(reward.options())>>)
      out["options"] = options_json(reward.options());
  return out;
}

/// Every policy of a RewardTuner by role, with its name and options, and the engine's options; of several tasks each.
template <class Tuner>
nlohmann::json tuner_json(const Tuner& tuner) {
  nlohmann::json out = nlohmann::json::object();
  if constexpr (requires { tuner.evaluation_rewards(); }) {
    out["options"] = options_json(tuner.options());
    out["tasks"] = nlohmann::json::array();
    tuner.each([&](const auto& task) {
      nlohmann::json own = tuner_json(task.tuner);
      own["name"] = task.name;
      own["batch"] = task.batch;
      if constexpr (requires { task.prompts.size(); }) own["prompts"] = prompt_identity(task.prompts);
      out["tasks"].push_back(std::move(own));
    });
  } else {
    out["reward"] = reward_json(tuner.reward());
    tuner.visit_policies([&](std::string_view role, const auto& policy, const auto& options) {
      out[std::string(role)] = {{"policy", policy_name(policy)}, {"options", options_json(options)}};
    });
    out["engine"] = options_json(tuner.options().engine);
    out["engine"].erase("max_skipped_in_a_row");  // when to give up: may change on a resume
  }
  return out;
}

/// The policies whose options are not covered, as "steps (first_steps)": where they are in `tuner_json`, or below it.
std::vector<std::string> not_covered(const nlohmann::json& tuner);

/// What a run is called if its user does not say: its objective, "clipped_ratio", or of several tasks
/// "a: clipped_ratio; b: reinforce".
std::string tuner_title(const nlohmann::json& tuner);
/// And its reward: "symmetry", or of several tasks "a: symmetry; b: parity".
std::string reward_title(const nlohmann::json& tuner);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/options_json.ipp>
#endif
