// Definitions of json_config.hpp.
#pragma once
#include <reward_tuner/files/json_config.hpp>

#include <string_view>
#include <system_error>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/file_bytes.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE nlohmann::json parse_json(const std::string& text, const std::string& where) {
  constexpr int kMaxDepth = 100;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    REWARD_TUNER_CHECK(depth <= kMaxDepth, "[Json] ", where, ": nested deeper than ", kMaxDepth);
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = value.get_ref<const std::string&>();
      REWARD_TUNER_CHECK(keys.back().insert(key).second, "[Json] ", where, ": the key '", key,
                         "' appears twice in one object");
    }
    return true;
  };
  REWARD_TUNER_CHECK(text.find('\0') == std::string::npos, "[Json] ", where, ": contains a zero byte");
  try {
    return nlohmann::json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    detail::fail("[Json] ", where, ": ", error.what());
  }
}

namespace detail {

REWARD_TUNER_INLINE std::string quote_bare_numbers(const std::string& text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size();) {
    if (in_string) {
      if (text[i] == '\\' && i + 1 < text.size()) out += text[i++];
      else if (text[i] == '"') in_string = false;
      out += text[i++];
      continue;
    }
    std::size_t length = 0;
    for (const std::string_view word : {"NaN", "-Infinity", "Infinity"})
      if (length == 0 && text.compare(i, word.size(), word) == 0) length = word.size();
    if (length > 0) {
      out += '"' + text.substr(i, length) + '"';
      i += length;
      continue;
    }
    in_string = text[i] == '"';
    out += text[i++];
  }
  return out;
}

}  // namespace detail

REWARD_TUNER_INLINE nlohmann::json read_json(const std::filesystem::path& path) {
  std::error_code code;
  REWARD_TUNER_CHECK(std::filesystem::is_regular_file(path, code), "[Json] expected a file, got nothing at '",
                     path.string(), "'");
  return parse_json(detail::quote_bare_numbers(read_bytes(path)), "'" + path.string() + "'");
}

namespace detail {

REWARD_TUNER_INLINE std::string json_excerpt(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return std::string(value.type_name()) + " " + text;
}

}  // namespace detail

REWARD_TUNER_INLINE ConfigReader::ConfigReader(nlohmann::json object, std::string where)
    : object_(std::move(object)), where_(std::move(where)) {
  REWARD_TUNER_CHECK(object_.is_object(), "[Config] ", where_, ": expected an object, got ",
                     detail::json_excerpt(object_));
}

REWARD_TUNER_INLINE ConfigReader ConfigReader::from_file(const std::filesystem::path& path) {
  return ConfigReader(read_json(path), path.string());
}

REWARD_TUNER_INLINE bool ConfigReader::has_value(const std::string& key) {
  known_.insert(key);
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

REWARD_TUNER_INLINE void ConfigReader::expect(const std::string& key, const nlohmann::json& value,
                                              const std::string& why) {
  REWARD_TUNER_CHECK(!has_value(key) || object_[key] == value, "[Config] ", where_, ": unsupported '", key, "': found ",
                     detail::json_excerpt(object_[key]), ", expected ", detail::json_excerpt(value), " (", why, ")");
}

REWARD_TUNER_INLINE void ConfigReader::finish() const {
  std::string unknown;
  for (const auto& [key, value] : object_.items())
    if (known_.count(key) == 0 && (key.empty() || key[0] != '_'))
      unknown += (unknown.empty() ? "'" : ", '") + key + "'";
  REWARD_TUNER_CHECK(unknown.empty(), "[Config] ", where_, ": unknown keys ", unknown,
                     "; they might change the model, so they are not ignored");
}

}  // namespace reward_tuner
