// The subcommands of rt-tune. Each registers itself, adds its options and, if it is the one given, sets `chosen`.
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

/// Adds a subcommand's options to the program. `command_line` is what the user typed, quoted: the hint how to resume
/// repeats it.
using AddCommand = void (*)(CLI::App& app, Command& chosen, const std::string& command_line);

/// Makes a subcommand known to the program that it is linked into, at namespace scope; --help lists them by rank.
struct RegisteredCommand {
  RegisteredCommand(int rank, AddCommand add);
};

/// Errors: a number below 0.
void apply_threads(int threads);

}  // namespace rt_tune
