// --tasks FILE: several tasks, each with its own reward, prompts and advantage, as tables of a TOML file.
#pragma once
#include <vector>

#include <examples/shared/tune_session.hpp>

namespace rt_tune {

/// Reads the tables [task.NAME] of `settings.tasks`; what a table leaves out is as in `settings`, which hold the file's
/// settings outside of tables too. A table may say the settings that the table of settings marks so, and must say a
/// reward. Paths are taken as they are, from the working directory.
/// Errors, which name file and table: a file that cannot be read, no table, a key that is unknown or given twice, a
/// number out of range, an unknown reward.
std::vector<rt_shared::TuneTask> read_tasks(const rt_shared::TuneSettings& settings,
                                            rt_shared::RewardModels models = rt_shared::RewardModels::kLoaded);

}  // namespace rt_tune
