#include "config_file.hpp"

#include <cstddef>
#include <exception>
#include <iterator>
#include <map>

#include <CLI/CLI.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/text_file.hpp>

#include <examples/shared/settings_table.hpp>

#include "toml_file.hpp"

namespace rt_tune {

using namespace rt_shared;

namespace {

/// Adds `--name=value`; of an empty value two words, since CLI11 takes `--name=` for a flag that lacks its value.
void add_flags_of(const TomlEntry& entry, std::vector<std::string>& flags) {
  for (const auto& value : entry.values) {
    flags.push_back("--" + entry.key + (value.empty() ? "" : "=" + value));
    if (value.empty()) flags.emplace_back();
  }
}

bool of_task(const TomlEntry& entry) { return entry.table.size() == 2 && entry.table[0] == "task"; }

std::vector<TomlEntry> read(const std::string& text, const std::string& name) {
  std::vector<TomlEntry> entries = toml_entries(text, name);
  for (const TomlEntry& entry : entries)
    REWARD_TUNER_CHECK(entry.table.empty() || of_task(entry), "[rt-tune] ", entry.where,
                       ": expected tables [task.NAME], got [", entry.table.front(), "]");
  return entries;
}

/// Whether the table of settings knows it and takes its values.
void check(const TomlEntry& entry) {
  TuneSettings scratch;
  try {
    read_setting(setting(settings_table(), entry.key), scratch, entry.values, entry.key);
  } catch (const std::exception& problem) {
    const std::string text = problem.what();
    rt::detail::fail("[rt-tune] ", entry.where, ": ", text.starts_with("[rt-tune] ") ? text.substr(10) : text);
  }
}

}  // namespace

std::vector<std::string> flags_from_settings(std::istream& text, const std::set<std::string>& given,
                                             const std::string& where) {
  std::vector<std::string> flags;
  try {
    for (const TomlEntry& entry : read({std::istreambuf_iterator<char>(text), {}}, where))
      if (entry.table.empty() && !given.contains("--" + entry.key)) add_flags_of(entry, flags);
  } catch (const std::exception& problem) {
    throw CLI::ConfigError(problem.what());
  }
  return flags;
}

std::vector<std::string> with_config_files(const std::vector<std::string>& arguments) {
  std::vector<std::string> out, files, task_files;
  std::set<std::string> given;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool has_next = i + 1 < arguments.size();
    if (argument == "--config" && has_next) {
      files.push_back(arguments[++i]);
      continue;
    }
    if (argument.starts_with("--config=")) {
      files.push_back(argument.substr(9));
      continue;
    }
    if (argument == "--tasks" && has_next) task_files.push_back(arguments[i + 1]);
    if (argument.starts_with("--tasks=")) task_files.push_back(argument.substr(8));
    if (argument.starts_with("--")) given.insert(argument.substr(0, argument.find('=')));
    out.push_back(argument);
  }
  std::set<std::string> read_files;
  std::map<std::string, std::string> places;  // of a setting
  const auto add = [&](const std::string& file) {
    if (!read_files.insert(file).second) return;
    for (const TomlEntry& entry : read(rt::read_text_file(file), file)) {
      if (of_task(entry)) {
        REWARD_TUNER_CHECK(file == (task_files.empty() ? "" : task_files.front()), "[rt-tune] ", entry.where,
                           ": [task.", entry.table[1], "] is read by --tasks ", file, ", got no such flag");
        continue;
      }
      check(entry);
      const auto [before, fresh] = places.emplace(entry.key, entry.where);
      REWARD_TUNER_CHECK(fresh, "[rt-tune] ", entry.where, ": ", entry.key, " is given twice: it stands in ",
                         before->second, " too");
      if (given.contains("--" + entry.key)) continue;
      if (entry.key == "tasks") task_files.push_back(entry.values.front());
      add_flags_of(entry, out);
    }
  };
  try {
    for (const auto& file : files) add(file);
    if (!task_files.empty()) add(task_files.front());
  } catch (const std::exception& problem) {
    throw CLI::ConfigError(problem.what());
  }
  return out;
}

}  // namespace rt_tune
