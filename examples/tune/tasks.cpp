#include "tasks.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/text_file.hpp>

#include <examples/shared/settings_table.hpp>

#include "toml_file.hpp"

namespace rt_tune {

namespace rt = reward_tuner;
using namespace rt_shared;

namespace {

using Table = std::vector<TomlEntry>;

/// The tables in the order of the file. Settings outside of them are of the whole run: config_file.cpp has made flags
/// of them, and has refused other tables.
std::vector<std::pair<std::string, Table>> read_tables(const std::filesystem::path& file) {
  std::vector<std::pair<std::string, Table>> tables;
  for (TomlEntry& entry : toml_entries(rt::read_text_file(file), file.string())) {
    if (entry.table.size() != 2) continue;
    if (tables.empty() || tables.back().first != entry.table[1]) tables.emplace_back(entry.table[1], Table());
    tables.back().second.push_back(std::move(entry));
  }
  REWARD_TUNER_CHECK(!tables.empty(), "[rt-tune] --tasks expected at least one table [task.NAME] in ", file.string(),
                     ", got none");
  return tables;
}

/// The run's settings with those of the table, which alone are marked as given.
TuneSettings task_settings(const std::string& name, const Table& table, const TuneSettings& all) {
  TuneSettings s = all;
  s.given = {};
  std::vector<std::string> known;
  for (const Setting& row : settings_table())
    if (row.of_task) known.push_back(row.name);
  for (const TomlEntry& entry : table) {
    try {
      REWARD_TUNER_CHECK(std::find(known.begin(), known.end(), entry.key) != known.end(), "[rt-tune] expected ",
                         listed(known, "or"), ", got '", entry.key, "'");
      read_setting(setting(settings_table(), entry.key), s, entry.values, entry.key);
    } catch (const std::exception& problem) {
      refuse_task(entry.where, name, problem);
    }
  }
  return s;
}

TuneTask task_of(const std::string& name, TuneSettings s, const TuneSettings& all, RewardModels models) {
  REWARD_TUNER_CHECK(s.was_given("reward"),
                     "[rt-tune] reward expected a list of \"name\" or \"name:weight\", got none");
  REWARD_TUNER_CHECK(!s.prompts.empty(), "[rt-tune] prompts expected a file, got none here and no --prompts");
  for (const auto& [key, number] : {std::pair("batch", s.batch), std::pair("samples-per-prompt", s.samples_per_prompt)})
    REWARD_TUNER_CHECK(!s.was_given(key) || number >= 1, "[rt-tune] ", key, " expected a whole number >= 1, got ",
                       number);
  s.given.insert(all.given.begin(), all.given.end());
  ChosenReward reward = make_reward(s, "reward", models);
  AnyPrompts prompts = AnyPrompts::from_file(s.prompts, s.stream_prompts, s.seed, s.prompt_field);
  return {name, std::move(s), std::move(reward), std::move(prompts)};
}

}  // namespace

std::vector<TuneTask> read_tasks(const TuneSettings& settings, RewardModels models) {
  std::vector<TuneTask> tasks;
  for (const auto& [name, table] : read_tables(settings.tasks)) {
    TuneSettings own = task_settings(name, table, settings);
    try {
      tasks.push_back(task_of(name, std::move(own), settings, models));
    } catch (const std::exception& problem) {
      refuse_task(settings.tasks, name, problem);
    }
  }
  return tasks;
}

}  // namespace rt_tune
