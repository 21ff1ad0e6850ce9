// The TOML that settings files are written in, with the line of each value, so that errors can name it.
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

// toml++ asserts what it reports as an error in the next lines: a key that begins with another character
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/text_file.hpp>

namespace rt_tune {

/// One `key = value`.
struct TomlEntry {
  std::vector<std::string> table;  ///< {"task", "light"} below [task.light]; empty above the first table
  std::string key;
  std::vector<std::string> values;  ///< one, or those of a list
  std::string where;                ///< "mine.toml:3"
};

namespace detail {

/// A text as it is, a number in its shortest form.
inline std::string toml_word(const toml::node& value, const std::string& where) {
  if (const auto* text = value.as_string()) return text->get();
  if (const auto* truth = value.as_boolean()) return truth->get() ? "true" : "false";
  if (const auto* whole = value.as_integer()) return std::to_string(whole->get());
  if (const auto* number = value.as_floating_point()) {
    std::array<char, 32> digits{};
    return {digits.data(), std::to_chars(digits.begin(), digits.end(), number->get()).ptr};
  }
  std::ostringstream kind;
  kind << value.type();
  reward_tuner::detail::fail("[rt-tune] ", where,
                             ": expected a text in quotes, a number, true, false or a list of them, got a value of "
                             "type ",
                             kind.str());
}

/// Adds what stands in a table, tables below it included.
inline void add_toml_entries(const toml::table& table, const std::vector<std::string>& path, const std::string& name,
                             std::vector<std::pair<toml::source_position, TomlEntry>>& entries) {
  for (const auto& [key, value] : table) {
    const std::string where = name + ":" + std::to_string(key.source().begin.line);
    if (const auto* below = value.as_table()) {
      std::vector<std::string> longer = path;
      longer.emplace_back(key.str());
      REWARD_TUNER_CHECK(!below->empty(), "[rt-tune] ", where, ": expected settings in the table ", key.str(),
                         ", got none");
      add_toml_entries(*below, longer, name, entries);
      continue;
    }
    TomlEntry entry{.table = path, .key = std::string(key.str()), .values = {}, .where = where};
    if (const auto* list = value.as_array()) {
      REWARD_TUNER_CHECK(!list->empty(), "[rt-tune] ", where,
                         ": expected a list of at least one value, got an empty one");
      for (const toml::node& item : *list) entry.values.push_back(toml_word(item, where));
    } else {
      entry.values.push_back(toml_word(value, where));
    }
    entries.emplace_back(key.source().begin, std::move(entry));
  }
}

}  // namespace detail

/// Reads TOML by toml++, in the order of the file: keys with a text, a number, true, false or a flat list of them.
/// Values are given as words. Byte order marks and line ends are those of any system (files/text_file.hpp). `name`: of
/// the file, in errors.
/// Errors, which name file and line: no TOML, a key or a table that stands there twice among it; values of other types.
inline std::vector<TomlEntry> toml_entries(const std::string& text, const std::string& name) {
  std::string plain;
  reward_tuner::TextLines lines(text, name);
  for (std::string line; lines.next(line);) plain += line + "\n";
  std::vector<std::pair<toml::source_position, TomlEntry>> found;
  try {
    detail::add_toml_entries(toml::parse(plain), {}, name, found);
  } catch (const toml::parse_error& problem) {
    reward_tuner::detail::fail("[rt-tune] ", name, ":", problem.source().begin.line, ": ", problem.description());
  }
  std::ranges::sort(found, {}, [](const auto& entry) { return std::tie(entry.first.line, entry.first.column); });
  std::vector<TomlEntry> entries;
  for (auto& [position, entry] : found) entries.push_back(std::move(entry));
  return entries;
}

}  // namespace rt_tune
