// --config FILE and --tasks FILE: the settings of a TOML file become flags, so that file and command line go through
// the same checks. Tables [task.NAME] are read elsewhere, by tasks.hpp.
#pragma once
#include <cstddef>
#include <exception>
#include <fstream>
#include <istream>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace rt_tune {

/// The settings of a TOML text as `--name=value` flags, without those in `given`. `where` names the file in errors.
/// Errors: CLI::ConfigError, whatever the text is.
inline std::vector<std::string> flags_from_settings(std::istream& text, const std::set<std::string>& given,
                                                    const std::string& where) {
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(text);
  } catch (const CLI::Error&) {
    throw;
  } catch (const std::exception& problem) {  // the parser's own, on text that is no TOML
    throw CLI::ConfigError("expected TOML settings in '" + where + "', got text that cannot be read as such (" +
                           problem.what() + ")");
  }
  std::vector<std::string> flags;
  for (const auto& item : items) {
    if (!item.parents.empty() && item.parents[0] == "task") continue;  // a table of --tasks
    const std::string flag = "--" + item.name;
    if (item.name == "++" || item.name == "--" || given.contains(flag)) continue;  // ++ and -- open and close a section
    for (const auto& value : item.inputs) flags.push_back(flag + "=" + value);
  }
  return flags;
}

/// Replaces `--config FILE` by the file's settings as flags, and adds those of `--tasks FILE`. What the command line
/// says itself wins over the files.
inline std::vector<std::string> with_config_files(const std::vector<std::string>& arguments) {
  std::vector<std::string> out, files;
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
    if (argument == "--tasks" && has_next) files.push_back(arguments[i + 1]);
    if (argument.starts_with("--tasks=")) files.push_back(argument.substr(8));
    if (argument.starts_with("--")) given.insert(argument.substr(0, argument.find('=')));
    out.push_back(argument);
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::ifstream text(files[i]);
    if (!text.good()) throw CLI::FileError::Missing(files[i]);
    for (const auto& flag : flags_from_settings(text, given, files[i])) {
      if (flag.starts_with("--tasks=") && i + 1 == files.size() && flag.substr(8) != files[i])
        files.push_back(flag.substr(8));
      out.push_back(flag);
    }
  }
  return out;
}

}  // namespace rt_tune
