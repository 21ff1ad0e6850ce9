// --tasks FILE: several tasks, each with its own reward, prompts and advantage, as tables of a TOML file.
#pragma once
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "any_prompts.hpp"
#include "rewards.hpp"
#include "settings.hpp"

namespace rt_tune {

/// One table [task.NAME].
struct TuneTask {
  std::string name;
  /// the run's, with what the table says: reward, prompts, batch, samples-per-prompt, advantage
  TuneSettings settings;
  ChosenReward reward;
  AnyPrompts prompts;
};

/// Reads the tables of `settings.tasks`; what a table leaves out is as in `settings`, which hold the file's settings
/// outside of tables too. Paths are taken as they are, from the working directory.
/// Errors, which name file and table: a file that cannot be read, no table, a key that is unknown or given twice, a
/// number out of range, an unknown reward.
std::vector<TuneTask> read_tasks(const TuneSettings& settings);

namespace detail {

/// Throws the problem of a task again with the names of file and table in front.
[[noreturn]] void refuse_task(const std::filesystem::path& file, const std::string& task,
                              const std::exception& problem);

}  // namespace detail
}  // namespace rt_tune
