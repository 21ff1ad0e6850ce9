// The table of settings as flags of a command.
#pragma once
#include <initializer_list>
#include <string_view>

#include <CLI/CLI.hpp>

#include <examples/shared/setting.hpp>

namespace rt_tune {

/// Adds each row as --name in its group, with its help and the default that `s` has. What is given is written to `s`,
/// which, as the table, must outlive the parsing.
/// Errors, of the command line parser with exit code 2: "--steps expected a whole number, got 'many'".
void add_flags(CLI::App& command, const rt_shared::SettingsTable& table, rt_shared::TuneSettings& s);

/// The rows of `names`, in that order.
rt_shared::SettingsTable rows_of(const rt_shared::SettingsTable& table, std::initializer_list<std::string_view> names);

}  // namespace rt_tune
