// A line of a JSON Lines file: one object with text in some of its fields.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace reward_tuner {

/// The object on a line; `where` names file and line in errors.
/// Errors: a line that is not JSON, a key twice, a value that is no object.
nlohmann::json parse_json_line(const std::string& line, const std::string& where);

/// The text in a field of such an object. Errors: no such field, a field that holds no text.
std::string text_field(const nlohmann::json& object, const std::string& field, const std::string& where);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/json_line.ipp>
#endif
