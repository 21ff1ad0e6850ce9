#include "tasks.hpp"

#include <algorithm>
#include <fstream>
#include <map>

#include <CLI/CLI.hpp>

#include <reward_tuner/core/check.hpp>

#include <examples/shared/settings_table.hpp>

namespace rt_tune {

namespace rt = reward_tuner;
using namespace rt_shared;

namespace {

using Table = std::map<std::string, std::vector<std::string>>;

/// The tables in the order of the file.
std::vector<std::pair<std::string, Table>> read_tables(const std::filesystem::path& file) {
  std::ifstream text(file);
  REWARD_TUNER_CHECK(text.good(), "[rt-tune] --tasks cannot read the file ", file.string());
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(text);
  } catch (const std::exception& problem) {
    rt::detail::fail("[rt-tune] --tasks expected TOML in ", file.string(), ", got text that cannot be read as such (",
                     problem.what(), ")");
  }
  std::vector<std::pair<std::string, Table>> tables;
  for (const auto& item : items) {
    if (item.name == "++" || item.name == "--") continue;  // open and close a section
    // of the whole run: config_file.hpp has made flags of them
    if (item.parents.empty() || item.parents[0] != "task") continue;
    REWARD_TUNER_CHECK(item.parents.size() == 2, "[rt-tune] ", file.string(), " expected tables [task.NAME], got ",
                       item.fullname());
    const std::string& name = item.parents[1];
    if (tables.empty() || tables.back().first != name) {
      for (const auto& other : tables)
        REWARD_TUNER_CHECK(other.first != name, "[rt-tune] ", file.string(), " has two tables [task.", name, "]");
      tables.emplace_back(name, Table());
    }
    REWARD_TUNER_CHECK(tables.back().second.emplace(item.name, item.inputs).second, "[rt-tune] ", file.string(),
                       ", [task.", name, "]: ", item.name, " is given twice");
  }
  REWARD_TUNER_CHECK(!tables.empty(), "[rt-tune] --tasks expected at least one table [task.NAME] in ", file.string(),
                     ", got none");
  return tables;
}

TuneTask read_task(const std::string& name, const Table& table, const TuneSettings& all) {
  TuneSettings s = all;
  s.given = {};
  for (const auto& entry : table) {
    const std::string& key = entry.first;
    const auto row = std::find_if(settings_table().begin(), settings_table().end(),
                                  [&](const Setting& r) { return r.of_task && r.name == key; });
    std::vector<std::string> known;
    for (const Setting& r : settings_table())
      if (r.of_task) known.push_back(r.name);
    REWARD_TUNER_CHECK(row != settings_table().end(), "[rt-tune] expected ", listed(known, "or"), ", got '", key, "'");
    read_setting(*row, s, entry.second, key);
  }
  REWARD_TUNER_CHECK(s.was_given("reward"),
                     "[rt-tune] reward expected a list of \"name\" or \"name:weight\", got none");
  REWARD_TUNER_CHECK(!s.prompts.empty(), "[rt-tune] prompts expected a file, got none here and no --prompts");
  for (const auto& [key, number] : {std::pair("batch", s.batch), std::pair("samples-per-prompt", s.samples_per_prompt)})
    REWARD_TUNER_CHECK(!s.was_given(key) || number >= 1, "[rt-tune] ", key, " expected a whole number >= 1, got ",
                       number);
  s.given.insert(all.given.begin(), all.given.end());
  ChosenReward reward = make_reward(s, "reward");
  AnyPrompts prompts = AnyPrompts::from_file(s.prompts, s.stream_prompts, s.seed);
  return {name, std::move(s), std::move(reward), std::move(prompts)};
}

}  // namespace

std::vector<TuneTask> read_tasks(const TuneSettings& settings) {
  std::vector<TuneTask> tasks;
  for (const auto& [name, table] : read_tables(settings.tasks)) {
    try {
      tasks.push_back(read_task(name, table, settings));
    } catch (const std::exception& problem) {
      refuse_task(settings.tasks, name, problem);
    }
  }
  return tasks;
}

}  // namespace rt_tune
