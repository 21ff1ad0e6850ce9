// The table of settings as flags of a command.
#pragma once
#include <initializer_list>
#include <optional>
#include <string_view>

#include <CLI/CLI.hpp>

#include <reward_tuner/core/noise_schedule.hpp>

#include <examples/shared/setting.hpp>

namespace rt_tune {

/// Adds each row as --name in its group, with its help and the default that `s` has. What is given is written to `s`,
/// which, as the table, must outlive the parsing.
/// Errors, of the command line parser with exit code 2: "--steps expected a whole number, got 'many'".
void add_flags(CLI::App& command, const rt_shared::SettingsTable& table, rt_shared::TuneSettings& s);

/// Adds --prediction to a command that has a model and no settings.
void add_prediction_option(CLI::App& command, std::optional<reward_tuner::PredictionType>& prediction);

/// The rows of `names`, in that order.
rt_shared::SettingsTable rows_of(const rt_shared::SettingsTable& table, std::initializer_list<std::string_view> names);

}  // namespace rt_tune
