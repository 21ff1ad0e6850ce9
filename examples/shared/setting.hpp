// A row of the table of settings, and everything that is read from the table: values, rules, config.json and the
// fingerprint. Flags and --help are made of it in examples/tune/flags.hpp.
#pragma once
#include <c10/core/ScalarType.h>

#include <charconv>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "method_table.hpp"
#include "tune_settings.hpp"

namespace rt_shared {

/// How a value is read and shown. Made by field().
struct SettingField {
  std::string expected;            ///< in errors: "a whole number", "replay or retain"
  std::vector<std::string> names;  ///< values of an enumeration
  bool is_switch = false;          ///< a bool: the flag alone means true
  bool is_list = false;            ///< words, or one word with commas
  bool may_be_alone = false;       ///< the flag without a value means something
  /// Writes the value that the words say; false if they are not as expected.
  std::function<bool(TuneSettings&, const std::vector<std::string>& words)> read;
  std::function<nlohmann::json(const TuneSettings&)> json;
};

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
std::string expected_value() {
  if constexpr (is_optional<T>) return expected_value<typename T::value_type>();
  else if constexpr (std::is_same_v<T, bool>) return "true or false";
  else if constexpr (std::is_unsigned_v<T>) return "a whole number >= 0";
  else if constexpr (std::is_integral_v<T>) return "a whole number";
  else if constexpr (std::is_floating_point_v<T>) return "a finite number";
  else if constexpr (std::is_same_v<T, std::filesystem::path>) return "a path";
  else if constexpr (std::is_same_v<T, Pair>) return "two whole numbers as 768x1024";
  else return "text";
}

template <class T>
bool read_value(const std::string& word, T& value) {
  if constexpr (is_optional<T>) {
    typename T::value_type inner{};
    if (!read_value(word, inner)) return false;
    value = inner;
    return true;
  } else if constexpr (std::is_same_v<T, bool>) {
    value = word == "true";
    return value || word == "false";
  } else if constexpr (std::is_arithmetic_v<T>) {
    const auto end = std::from_chars(word.data(), word.data() + word.size(), value);
    if (end.ec != std::errc() || end.ptr != word.data() + word.size()) return false;
    if constexpr (std::is_floating_point_v<T>) return std::isfinite(value);  // "nan" and "inf" are read too
    return true;
  } else if constexpr (std::is_same_v<T, Pair>) {
    const std::size_t cross = word.find('x');
    return cross != std::string::npos && read_value(word.substr(0, cross), value[0]) &&
           read_value(word.substr(cross + 1), value[1]);
  } else {
    value = word;
    return true;
  }
}

template <class T>
nlohmann::json value_json(const T& value) {
  if constexpr (is_optional<T>) return value ? value_json(*value) : nlohmann::json(nullptr);
  else if constexpr (std::is_same_v<T, std::filesystem::path>) return value.string();
  else if constexpr (std::is_same_v<T, Pair>) return std::to_string(value[0]) + "x" + std::to_string(value[1]);
  else return value;
}

/// "a,b" and "c" are three.
std::vector<std::string> split(const std::vector<std::string>& words);

}  // namespace detail

/// The field that `access` gives of the settings: a member pointer, or T&(TuneSettings&).
template <class Access>
SettingField field(Access access) {
  using T = std::remove_cvref_t<std::invoke_result_t<Access, TuneSettings&>>;
  SettingField f;
  f.json = [access](const TuneSettings& s) {
    return detail::value_json(std::invoke(access, const_cast<TuneSettings&>(s)));  // read only
  };
  if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    f.expected = "a list";
    f.is_list = true;
    f.read = [access](TuneSettings& s, const std::vector<std::string>& words) {
      std::invoke(access, s) = detail::split(words);
      return !words.empty();
    };
  } else {
    f.expected = detail::expected_value<T>();
    f.is_switch = std::is_same_v<T, bool>;
    f.read = [access](TuneSettings& s, const std::vector<std::string>& words) {
      return words.size() == 1 && detail::read_value(words[0], std::invoke(access, s));
    };
  }
  return f;
}

/// The same of a list whose words are taken as they are, commas included.
template <class Access>
SettingField words_field(Access access) {
  SettingField f = field(access);
  f.read = [access](TuneSettings& s, const std::vector<std::string>& words) {
    std::invoke(access, s) = words;
    return !words.empty();
  };
  return f;
}

/// The same of an enumeration, whose values have names.
template <class Access, class T = std::remove_cvref_t<std::invoke_result_t<Access, TuneSettings&>>>
SettingField field(Access access, const std::vector<std::pair<std::string, std::type_identity_t<T>>>& values) {
  SettingField f;
  for (const auto& value : values) f.names.push_back(value.first);
  f.expected = listed(f.names, "or");
  f.read = [access, values](TuneSettings& s, const std::vector<std::string>& words) {
    for (const auto& [name, value] : values)
      if (words.size() == 1 && words[0] == name) {
        std::invoke(access, s) = value;
        return true;
      }
    return false;
  };
  f.json = [access, values](const TuneSettings& s) {
    for (const auto& [name, value] : values)
      if (std::invoke(access, const_cast<TuneSettings&>(s)) == value) return nlohmann::json(name);
    return nlohmann::json(nullptr);
  };
  return f;
}

/// The same, where the flag alone (in a TOML file: true) means a value.
inline SettingField or_alone(SettingField f, std::string value) {
  f.may_be_alone = true;
  f.read = [read = std::move(f.read), value = std::move(value)](TuneSettings& s,
                                                                const std::vector<std::string>& words) {
    return read(s, words == std::vector<std::string>{"true"} ? std::vector{value} : words);
  };
  return f;
}

/// What becomes of a setting in config.json.
enum class SettingRole {
  kDecides,  ///< the numbers depend on it: it is among the options of the fingerprint, a resume with another is refused
  kRun,      ///< the Trainer writes it and knows whether a resume may change it (batch, seed, updates), or nobody does
  kNote,     ///< written to the notes, may change
};

/// What a setting wants of the others to mean anything.
struct SettingCondition {
  bool (*met)(const TuneSettings&, const MethodEntry&) = nullptr;  ///< nullptr: nothing
  std::string of = {};                                             ///< the setting it is about: "weighting"
  std::string wanted = {};  ///< what of it, for the error; empty: without it the setting is unused, and no error
};

/// One row.
struct Setting {
  std::string name;  ///< "kl-weight": the flag without dashes, the key of a TOML file, and kl_weight in config.json
  std::string group;
  std::string help;
  SettingField field;
  SettingRole role = SettingRole::kDecides;
  std::string known_to = {};  ///< names and traits of the methods that know it; empty: all
  SettingCondition when = {};
  std::string value_name = {};  ///< in --help: "FILE"
  bool required = false;
  bool of_task = false;  ///< a table [task.NAME] may say it

  Setting with(SettingRole r) && { return role = r, std::move(*this); }
  Setting of(std::string methods) && { return known_to = std::move(methods), std::move(*this); }
  Setting wants(bool (*met)(const TuneSettings&, const MethodEntry&), std::string setting = {},
                std::string wanted = {}) && {
    return when = {met, std::move(setting), std::move(wanted)}, std::move(*this);
  }
  Setting shown_as(std::string value) && { return value_name = std::move(value), std::move(*this); }
  Setting must_be_given() && { return required = true, std::move(*this); }
  Setting in_tasks() && { return of_task = true, std::move(*this); }

  /// Whether it means anything in this run.
  bool applies(const TuneSettings& s, const MethodEntry& method) const {
    return method.knows_any(known_to) && (when.met == nullptr || when.met(s, method));
  }
};

using SettingsTable = std::vector<Setting>;

/// The row of a name. Errors: a name that is not in the table.
const Setting& setting(const SettingsTable& table, std::string_view name);

/// Writes what the words say, and that it was given. `shown` is the setting's name in errors: "--steps".
/// Errors: "--steps expected a whole number, got 'many'".
void read_setting(const Setting& row, TuneSettings& s, const std::vector<std::string>& words, const std::string& shown);

/// Errors: a setting that was given and does not belong to the method, or wants another value of others: "--temperature
/// expected --weighting exponential, got --weighting min-max".
void check_rules(const SettingsTable& table, const TuneSettings& s, const MethodEntry& method);

/// kl-weight -> kl_weight, the key in config.json.
std::string config_key(const Setting& row);
/// Every setting that decides the numbers of this run.
nlohmann::json deciding_options(const SettingsTable& table, const TuneSettings& s, const MethodEntry& method);
/// Every setting that does not and is worth knowing.
nlohmann::json noted_options(const SettingsTable& table, const TuneSettings& s);

}  // namespace rt_shared
