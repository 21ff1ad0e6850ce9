// Strict JSON reading: every key is read, explicitly ignored, or an error, so that no setting of a model is silently
// dropped.
#pragma once
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

/// Parses JSON text. Errors (with `where`): invalid JSON, a key twice in one object, nesting deeper than 100.
nlohmann::json parse_json(const std::string& text, const std::string& where);

namespace detail {

/// Python's json module writes NaN, Infinity and -Infinity bare, which JSON does not know (diffusers'
/// "lambda_min_clipped": -Infinity). They become the strings "NaN", "Infinity" and "-Infinity", so that they
/// are not taken for numbers by accident.
std::string quote_bare_numbers(const std::string& text);

}  // namespace detail

/// Parses a JSON file. Python's bare NaN and infinities are read as strings.
nlohmann::json read_json(const std::filesystem::path& path);

namespace detail {

std::string json_excerpt(const nlohmann::json& value);

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
  ConfigReader(nlohmann::json object, std::string where);
  static ConfigReader from_file(const std::filesystem::path& path);

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
    return has_value(key) ? convert<T>(key) : std::move(fallback);
  }

  /// Whether `key` is present and not null. Marks it as known.
  bool has_value(const std::string& key);

  /// Keys that do not change what is computed here, whatever their value.
  void ignore(std::initializer_list<const char*> keys) { known_.insert(keys.begin(), keys.end()); }

  /// A setting of which only one value is supported: absent, null or equal to `value`; otherwise an error that gives
  /// the reason.
  void expect(const std::string& key, const nlohmann::json& value, const std::string& why);

  /// Ends the reading: unread keys are an error, except notes that start with an underscore (_class_name,
  /// ...).
  void finish() const;

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

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/json_config.ipp>
#endif
