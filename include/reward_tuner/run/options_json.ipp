// Definitions of options_json.hpp.
#pragma once
#include <reward_tuner/run/options_json.hpp>

#include <algorithm>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

/// `of(tuner)`, or of several tasks each under its name.
template <class F>
std::string of_tasks(const nlohmann::json& tuner, F of) {
  if (!tuner.contains("tasks")) return of(tuner);
  std::string all;
  for (const auto& task : tuner.at("tasks"))
    all += (all.empty() ? "" : "; ") + task.at("name").template get<std::string>() + ": " + of(task);
  return all;
}

}  // namespace detail

REWARD_TUNER_INLINE std::vector<std::string> not_covered(const nlohmann::json& tuner) {
  std::vector<std::string> found;
  if (tuner.contains("tasks")) {
    for (const auto& task : tuner.at("tasks"))
      for (const auto& role : not_covered(task)) found.push_back(task.at("name").get<std::string>() + ": " + role);
    return found;
  }
  for (const auto& [role, part] : tuner.items()) {
    if (!part.contains("options")) continue;
    const nlohmann::json flat = nlohmann::json::array({part.at("options")}).flatten();
    if (std::any_of(flat.begin(), flat.end(), [](const nlohmann::json& value) {
          return value.is_string() && value.get_ref<const std::string&>() == kNotCovered;
        }))
      found.push_back(role + " (" + part.at("policy").get<std::string>() + ")");
  }
  return found;
}

REWARD_TUNER_INLINE std::string tuner_title(const nlohmann::json& tuner) {
  return detail::of_tasks(tuner,
                          [](const nlohmann::json& t) { return t.at("objective").at("policy").get<std::string>(); });
}

REWARD_TUNER_INLINE std::string reward_title(const nlohmann::json& tuner) {
  return detail::of_tasks(tuner,
                          [](const nlohmann::json& t) { return t.at("reward").at("policy").get<std::string>(); });
}

}  // namespace reward_tuner
