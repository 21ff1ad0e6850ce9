// The subcommands of rt-tune. Each adds its options to the program and, if it is the one given, sets `chosen`.
#pragma once
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include <examples/shared/tune_settings.hpp>

namespace rt_tune {

using namespace rt_shared;

/// Exit codes, as --help prints them.
inline constexpr int kDone = 0, kFailed = 1, kUsage = 2, kInterrupted = 130;

/// What to run; returns the exit code.
using Command = std::function<int()>;

/// `command_line` is what the user typed, quoted: the hint how to resume repeats it.
void add_tune_command(CLI::App& app, Command& chosen, const std::string& command_line);
void add_sample_command(CLI::App& app, Command& chosen);
void add_evaluate_command(CLI::App& app, Command& chosen);
void add_info_command(CLI::App& app, Command& chosen);

/// Errors: a number below 0.
void apply_threads(int threads);

}  // namespace rt_tune
