// Reads JSON files strictly: every key is asked for, ignored by name or an error, so that no setting of a model goes
// unnoticed.
#pragma once
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

/// Parses JSON text. Errors (with `where`): invalid JSON, a key twice in one object, nesting deeper than 100.
inline nlohmann::json parse_json(const std::string& text, const std::string& where) {
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

/// Python's json module writes NaN, Infinity and -Infinity bare, which JSON does not know (diffusers'
/// "lambda_min_clipped": -Infinity). They become the strings "NaN", "Infinity" and "-Infinity", so that nobody takes
/// them for numbers unawares.
inline std::string quote_bare_numbers(const std::string& text) {
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

/// Parses a JSON file. Python's bare NaN and infinities are read as strings.
inline nlohmann::json read_json(const std::filesystem::path& path) {
  std::error_code code;
  REWARD_TUNER_CHECK(std::filesystem::is_regular_file(path, code), "[Json] expected a file, got nothing at '",
                     path.string(), "'");
  std::ifstream stream(path, std::ios::binary);
  REWARD_TUNER_CHECK(stream.good(), "[Json] could not open '", path.string(), "'");
  const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  REWARD_TUNER_CHECK(!stream.bad(), "[Json] could not read '", path.string(), "'");
  return parse_json(detail::quote_bare_numbers(text), "'" + path.string() + "'");
}

namespace detail {

inline std::string json_excerpt(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return std::string(value.type_name()) + " " + text;
}

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

/// `value` as a T, or false when its JSON type or range does not fit. Integers serve as numbers; nothing else is
/// converted.
template <class T>
bool json_to(const nlohmann::json& value, T& result) {
  if constexpr (std::same_as<T, nlohmann::json>) {
    result = value;
  } else if constexpr (std::same_as<T, bool>) {
    if (!value.is_boolean()) return false;
    result = value.get<bool>();
  } else if constexpr (std::integral<T>) {
    if (!value.is_number_integer()) return false;
    if (value.is_number_unsigned() ? !std::in_range<T>(value.get<std::uint64_t>())
                                   : !std::in_range<T>(value.get<std::int64_t>()))
      return false;
    result = value.get<T>();
  } else if constexpr (std::floating_point<T>) {
    if (!value.is_number()) return false;
    result = value.get<T>();
  } else if constexpr (std::same_as<T, std::string>) {
    if (!value.is_string()) return false;
    result = value.get<std::string>();
  } else {
    static_assert(IsVector<T>::value,
                  "ConfigReader reads bool, integers, floating point, std::string, nlohmann::json and vectors of them");
    if (!value.is_array()) return false;
    result.clear();
    for (const auto& item : value) {
      typename T::value_type element{};
      if (!json_to(item, element)) return false;
      result.push_back(std::move(element));
    }
  }
  return true;
}

template <class T>
std::string json_type_name() {
  if constexpr (std::same_as<T, nlohmann::json>) return "a value";
  else if constexpr (std::same_as<T, bool>) return "a boolean";
  else if constexpr (std::integral<T>) return "an integer in range";
  else if constexpr (std::floating_point<T>) return "a number";
  else if constexpr (std::same_as<T, std::string>) return "a string";
  else return "a list, each item " + json_type_name<typename T::value_type>();
}

}  // namespace detail

/// A JSON object whose keys are all accounted for.
/// Example: ConfigReader reader = ConfigReader::from_file(path); auto width =
/// reader.required<std::int64_t>("hidden_size"); reader.finish();
class ConfigReader {
 public:
  /// `where` names the file in errors.
  ConfigReader(nlohmann::json object, std::string where) : object_(std::move(object)), where_(std::move(where)) {
    REWARD_TUNER_CHECK(object_.is_object(), "[Config] ", where_, ": expected an object, got ",
                       detail::json_excerpt(object_));
  }
  static ConfigReader from_file(const std::filesystem::path& path) {
    return ConfigReader(read_json(path), path.string());
  }

  /// The value of `key`; an error when it is absent, null or of another type.
  template <class T>
  T required(const std::string& key) {
    REWARD_TUNER_CHECK(has_value(key), "[Config] ", where_, ": the key '", key, "' is missing or null, expected ",
                       detail::json_type_name<T>());
    return convert<T>(key);
  }

  /// The value of `key`, or `fallback` when it is absent or null; an error when it is of another type.
  template <class T>
  T optional(const std::string& key, T fallback) {
    return has_value(key) ? convert<T>(key) : fallback;
  }

  /// Whether `key` is present and not null. Marks it as known.
  bool has_value(const std::string& key) {
    known_.insert(key);
    const auto found = object_.find(key);
    return found != object_.end() && !found->is_null();
  }

  /// Keys that do not change what is computed here, whatever their value.
  void ignore(std::initializer_list<const char*> keys) { known_.insert(keys.begin(), keys.end()); }

  /// A setting of which only one value is supported: absent, null or equal to `value`; otherwise an error that gives
  /// the reason.
  void expect(const std::string& key, const nlohmann::json& value, const std::string& why) {
    REWARD_TUNER_CHECK(!has_value(key) || object_[key] == value, "[Config] ", where_, ": unsupported '", key,
                       "': found ", detail::json_excerpt(object_[key]), ", expected ", detail::json_excerpt(value),
                       " (", why, ")");
  }

  /// Ends the reading: keys nobody asked for are an error, except notes that start with an underscore (_class_name,
  /// ...).
  void finish() const {
    std::string unknown;
    for (const auto& [key, value] : object_.items())
      if (known_.count(key) == 0 && (key.empty() || key[0] != '_'))
        unknown += (unknown.empty() ? "'" : ", '") + key + "'";
    REWARD_TUNER_CHECK(unknown.empty(), "[Config] ", where_, ": unknown keys ", unknown,
                       "; they might change the model, so they are not ignored");
  }

  const std::string& where() const { return where_; }

 private:
  template <class T>
  T convert(const std::string& key) const {
    T result{};
    REWARD_TUNER_CHECK(detail::json_to(object_.at(key), result), "[Config] ", where_, ": the key '", key, "' must be ",
                       detail::json_type_name<T>(), ", got ", detail::json_excerpt(object_.at(key)));
    return result;
  }

  nlohmann::json object_;
  std::string where_;
  std::set<std::string> known_;
};

}  // namespace reward_tuner
