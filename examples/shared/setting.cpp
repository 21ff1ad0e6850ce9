// What is read from the table of settings.
#include "setting.hpp"

#include <algorithm>

#include <reward_tuner/core/check.hpp>

namespace rt_shared {

namespace detail {

std::vector<std::string> split(const std::vector<std::string>& words) {
  std::vector<std::string> parts;
  for (const auto& word : words)
    for (std::size_t begin = 0; begin <= word.size();) {
      const std::size_t end = std::min(word.find(',', begin), word.size());
      parts.push_back(word.substr(begin, end - begin));
      begin = end + 1;
    }
  return parts;
}

}  // namespace detail

const Setting& setting(const SettingsTable& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(), [&](const Setting& row) { return row.name == name; });
  REWARD_TUNER_CHECK(found != table.end(), "[rt-tune] expected a setting of `rt-tune tune --help`, got '", name, "'");
  return *found;
}

void read_setting(const Setting& row, TuneSettings& s, const std::vector<std::string>& words,
                  const std::string& shown) {
  std::string got;
  for (const auto& word : words) got += (got.empty() ? "'" : ", '") + word + "'";
  REWARD_TUNER_CHECK(words.size() < 2 || row.field.is_list, "[rt-tune] ", shown, " expected one value, got ",
                     words.size(), ": ", got);
  REWARD_TUNER_CHECK(row.field.read(s, words), "[rt-tune] ", shown, " expected ", row.field.expected, ", got ",
                     got.empty() ? "nothing" : got);
  s.given.insert(row.name);
}

void check_rules(const SettingsTable& table, const TuneSettings& s, const MethodEntry& method) {
  for (const Setting& row : table) {
    if (!s.was_given(row.name)) continue;
    REWARD_TUNER_CHECK(method.knows_any(row.known_to), "[rt-tune] --", row.name, " cannot be combined with --method ",
                       method.name, "; it belongs to ", methods_that_know(row.known_to));
    if (row.when.wanted.empty() || row.when.met(s, method)) continue;
    const nlohmann::json got = setting(table, row.when.of).field.json(s);
    rt::detail::fail("[rt-tune] --", row.name, " expected --", row.when.of, " ", row.when.wanted, ", got ",
                     got.is_null()
                         ? "that of --method " + std::string(method.name)
                         : "--" + row.when.of + " " + (got.is_string() ? got.get<std::string>() : got.dump()));
  }
}

std::string config_key(const Setting& row) {
  std::string key = row.name;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

nlohmann::json deciding_options(const SettingsTable& table, const TuneSettings& s, const MethodEntry& method) {
  nlohmann::json options = nlohmann::json::object();
  for (const Setting& row : table)
    if (row.role == SettingRole::kDecides && row.applies(s, method)) options[config_key(row)] = row.field.json(s);
  return options;
}

nlohmann::json noted_options(const SettingsTable& table, const TuneSettings& s) {
  nlohmann::json notes = nlohmann::json::object();
  for (const Setting& row : table)
    if (row.role == SettingRole::kNote) notes[config_key(row)] = row.field.json(s);
  return notes;
}

}  // namespace rt_shared
