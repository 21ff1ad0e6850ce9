// Definitions of tuner_state_json.hpp.
#pragma once
#include <reward_tuner/run/tuner_state_json.hpp>

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE nlohmann::json to_json(const TunerState& s) {
  nlohmann::json tasks = nlohmann::json::array(), history = nlohmann::json::array();
  for (const auto& task : s.tasks) tasks.push_back(to_json(task));
  for (const auto& [prompt, rounds] : s.history.rounds) history.push_back({prompt, rounds});
  return {{"updates", s.updates},
          {"skipped", s.skipped},
          {"skipped_in_a_row", s.skipped_in_a_row},
          {"gradient_scale",
           {{"value", s.gradient_scale.value},
            {"steps", s.gradient_scale.steps},
            {"overflows", s.gradient_scale.overflows}}},
          {"history", history},
          {"retained_rows", s.retained_rows ? nlohmann::json(*s.retained_rows) : nlohmann::json(nullptr)},
          {"prompt_position", s.prompt_position},
          {"tasks", tasks}};
}

REWARD_TUNER_INLINE TunerState tuner_state_from_json(const nlohmann::json& json,
                                                     const std::map<std::string, Tensor>& tensors,
                                                     const std::string& prefix) {
  TunerState s;
  s.updates = json.at("updates").get<std::int64_t>();
  s.skipped = json.at("skipped").get<std::int64_t>();
  s.skipped_in_a_row = json.at("skipped_in_a_row").get<std::int64_t>();
  const auto& scale = json.at("gradient_scale");
  s.gradient_scale = {.value = scale.at("value").get<double>(),
                      .steps = scale.at("steps").get<std::int64_t>(),
                      .overflows = scale.at("overflows").get<std::int64_t>()};
  for (const auto& entry : json.at("history"))
    s.history.rounds[entry.at(0).get<std::string>()] = entry.at(1).get<std::vector<std::vector<double>>>();
  if (const auto& rows = json.at("retained_rows"); !rows.is_null()) s.retained_rows = rows.get<std::int64_t>();
  s.prompt_position = json.at("prompt_position").get<std::vector<std::int64_t>>();
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(prefix) && !name.starts_with(prefix + "task"))
      s.tensors.emplace(name.substr(prefix.size()), tensor.clone());
  for (const auto& task : json.at("tasks"))
    s.tasks.push_back(tuner_state_from_json(task, tensors, prefix + "task" + std::to_string(s.tasks.size()) + "."));
  return s;
}

REWARD_TUNER_INLINE void add_tensors(const TunerState& s, std::map<std::string, Tensor>& out,
                                     const std::string& prefix) {
  for (const auto& [name, tensor] : s.tensors) out.emplace(prefix + name, tensor);
  for (std::size_t i = 0; i < s.tasks.size(); ++i)
    add_tensors(s.tasks[i], out, prefix + "task" + std::to_string(i) + ".");
}

}  // namespace reward_tuner
