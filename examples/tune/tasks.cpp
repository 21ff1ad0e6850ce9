#include "tasks.hpp"

#include <charconv>
#include <fstream>
#include <map>

#include <CLI/CLI.hpp>

#include <reward_tuner/core/check.hpp>

namespace rt_tune {

namespace rt = reward_tuner;

namespace detail {

void refuse_task(const std::filesystem::path& file, const std::string& task, const std::exception& problem) {
  const std::string text = problem.what();
  rt::detail::fail("[rt-tune] ", file.string(), ", [task.", task,
                   "]: ", text.starts_with("[rt-tune] ") ? text.substr(10) : text);
}

}  // namespace detail

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

/// A whole number >= 1.
int number(const std::string& key, const std::vector<std::string>& values) {
  int value = 0;
  const std::string text = values.size() == 1 ? values[0] : std::string();
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  REWARD_TUNER_CHECK(end.ec == std::errc() && end.ptr == text.data() + text.size() && value >= 1, "[rt-tune] ", key,
                     " expected a whole number >= 1, got '", text, "'");
  return value;
}

TuneTask read_task(const std::string& name, const Table& table, const TuneSettings& all) {
  TuneSettings s = all;
  bool rewarded = false;
  for (const auto& [key, values] : table) {
    const auto one = [&]() -> const std::string& {
      REWARD_TUNER_CHECK(values.size() == 1, "[rt-tune] ", key, " expected one value, got ", values.size());
      return values[0];
    };
    if (key == "reward") {
      s.rewards = values;
      rewarded = true;
    } else if (key == "prompts") {
      s.prompts = one();
    } else if (key == "batch") {
      s.batch = number(key, values);
    } else if (key == "samples-per-prompt") {
      s.samples_per_prompt = number(key, values);
    } else if (key == "advantage") {
      const std::string& value = one();
      REWARD_TUNER_CHECK(value == "per-batch" || value == "per-prompt" || value == "per-group" || value == "history",
                         "[rt-tune] advantage expected per-batch, per-prompt, per-group or history, got '", value, "'");
      s.advantage = value;
    } else {
      rt::detail::fail("[rt-tune] expected reward, prompts, batch, samples-per-prompt or advantage, got '", key, "'");
    }
  }
  REWARD_TUNER_CHECK(rewarded, "[rt-tune] reward expected a list of \"name\" or \"name:weight\", got none");
  REWARD_TUNER_CHECK(!s.prompts.empty(), "[rt-tune] prompts expected a file, got none here and no --prompts");
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
      detail::refuse_task(settings.tasks, name, problem);
    }
  }
  return tasks;
}

}  // namespace rt_tune
