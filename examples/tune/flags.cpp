#include "flags.hpp"

#include <string>
#include <vector>

#include <examples/shared/settings_table.hpp>

#include "commands.hpp"

namespace rt_tune {

namespace {

/// A value that is not as expected, to the command line parser.
struct SettingError : CLI::ParseError {
  explicit SettingError(const std::string& sentence) : ParseError("SettingError", sentence, kUsage) {}
};

/// "50", "replay", "a,b"; empty for what is unset or empty.
std::string shown_default(const nlohmann::json& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& item : value) text += (text.empty() ? "" : ",") + item.get<std::string>();
  return text;
}

std::string shown_value(const Setting& row) {
  if (!row.value_name.empty()) return row.value_name;
  if (row.name == "method") return "NAME";
  std::string text;
  for (const auto& name : row.field.names) text += (text.empty() ? "" : "|") + name;
  if (!text.empty()) return text;
  if (row.field.is_list) return "LIST";
  return row.field.expected == "a finite number" ? "FLOAT" : row.field.expected.starts_with("a whole") ? "INT" : "TEXT";
}

}  // namespace

void add_flags(CLI::App& command, const SettingsTable& table, TuneSettings& s) {
  for (const Setting& row : table) {
    const std::string flag = "--" + row.name;
    const auto read = [&row, &s, flag](const std::vector<std::string>& words) {
      try {
        read_setting(row, s, words, flag);
      } catch (const std::exception& problem) {
        throw SettingError(problem.what());
      }
    };
    if (row.field.is_switch) {
      command.add_flag_function(
                 flag, [read](std::int64_t n) { read({n > 0 ? "true" : "false"}); }, row.help)
          ->multi_option_policy(CLI::MultiOptionPolicy::Throw)
          ->check([](const std::string& word) {  // CLI11's own conversion names neither flag nor what it expects
            bool value = false;
            return CLI::detail::lexical_cast(word, value) ? std::string()
                                                          : "expected true or false, got '" + word + "'";
          })
          ->group(row.group);
      continue;
    }
    const bool may_be_alone = row.field.may_be_alone;
    const CLI::callback_t take = [read, may_be_alone](const CLI::results_t& words) {
      const bool alone = may_be_alone && words.size() == 1 && words.front().empty();
      read(alone ? CLI::results_t{"true"} : words);
      return true;
    };
    // the words as they were typed: CLI11 would take "[a, b]" for a list; read_setting refuses a second value
    auto* option = command.add_option(flag, take, row.help);
    if (may_be_alone) option->expected(0, 1);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->type_name(shown_value(row))
        ->default_str(may_be_alone ? "" : shown_default(row.field.json(s)))  // what CLI11 takes for a flag alone
        ->required(row.required)
        ->group(row.group);
  }
}

void add_prediction_option(CLI::App& command, std::optional<reward_tuner::PredictionType>& prediction) {
  // the row of the settings, read into settings of its own
  command
      .add_option_function<std::string>(
          "--prediction",
          [&prediction](const std::string& word) {
            TuneSettings s;
            try {
              read_setting(setting(settings_table(), "prediction"), s, {word}, "--prediction");
            } catch (const std::exception& problem) {
              throw SettingError(problem.what());
            }
            prediction = s.prediction;
          },
          setting(settings_table(), "prediction").help)
      ->type_name("epsilon|v_prediction");
}

SettingsTable rows_of(const SettingsTable& table, std::initializer_list<std::string_view> names) {
  SettingsTable rows;
  for (const auto name : names) rows.push_back(setting(table, name));
  return rows;
}

}  // namespace rt_tune
