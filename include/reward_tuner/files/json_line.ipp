// Definitions of json_line.hpp.
#pragma once
#include <reward_tuner/files/json_line.hpp>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE nlohmann::json parse_json_line(const std::string& line, const std::string& where) {
  nlohmann::json object = parse_json(line, where);
  REWARD_TUNER_CHECK(object.is_object(), "[Json] ", where, ": expected an object, got ", detail::json_excerpt(object));
  return object;
}

REWARD_TUNER_INLINE std::string text_field(const nlohmann::json& object, const std::string& field,
                                           const std::string& where) {
  const auto found = object.find(field);
  REWARD_TUNER_CHECK(found != object.end(), "[Json] ", where, ": expected a text field '", field, "', got none in ",
                     detail::json_excerpt(object));
  REWARD_TUNER_CHECK(found->is_string(), "[Json] ", where, ": expected text in the field '", field, "', got ",
                     detail::json_excerpt(*found));
  return found->get<std::string>();
}

}  // namespace reward_tuner
