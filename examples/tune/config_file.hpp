// --config FILE and --tasks FILE: the settings of a TOML file become flags, so that file and command line go through
// the same checks. Tables [task.NAME] are read elsewhere, by tasks.hpp.
#pragma once
#include <istream>
#include <set>
#include <string>
#include <vector>

namespace rt_tune {

/// The settings of a TOML text as `--name=value` flags, without those in `given`. `where` names the file in errors.
/// Errors: CLI::ConfigError, whatever the text is: those of toml_entries; a table that is not [task.NAME].
std::vector<std::string> flags_from_settings(std::istream& text, const std::set<std::string>& given,
                                             const std::string& where);

/// Replaces `--config FILE` by the file's settings as flags, and adds those of `--tasks FILE`. What the command line
/// says itself wins over the files.
/// Errors: CLI::ParseError, which names file and line: a setting that is unknown, has a value that it does not take, or
/// stands in two files; a table [task.NAME] in a file that no --tasks names.
std::vector<std::string> with_config_files(const std::vector<std::string>& arguments);

}  // namespace rt_tune
