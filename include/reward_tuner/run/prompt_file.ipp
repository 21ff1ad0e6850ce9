// Definitions of prompt_file.hpp.
#pragma once
#include <reward_tuner/run/prompt_file.hpp>

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/lower_ascii.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/json_line.hpp>
#include <reward_tuner/files/table_file.hpp>
#include <reward_tuner/files/text_file.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE PromptFormat prompt_format(const std::filesystem::path& file) {
  constexpr std::array<std::pair<std::string_view, PromptFormat>, 5> kEndings = {{{".jsonl", PromptFormat::kJsonl},
                                                                                  {".ndjson", PromptFormat::kJsonl},
                                                                                  {".json", PromptFormat::kJson},
                                                                                  {".csv", PromptFormat::kCsv},
                                                                                  {".tsv", PromptFormat::kTsv}}};
  const std::string ending = lower_ascii(file.extension().string());
  REWARD_TUNER_CHECK(ending != ".parquet",
                     "[Prompts] expected prompts as text (.txt, .jsonl, .json, .csv or .tsv), got ", file.string());
  for (const auto& [name, format] : kEndings)
    if (ending == name) return format;
  return PromptFormat::kLines;
}

namespace detail {

/// The prompt of an object. What else it holds, as GenEval's objects do ("tag", "include"), goes nowhere: a prompt is a
/// text, in every round, record and reward.
inline std::string prompt_of_object(const nlohmann::json& object, const std::string& field, const std::string& where,
                                    const std::string& file) {
  std::string prompt = text_field(object, field, where);
  if (object.size() > 1)
    note("[Prompts] ", file, ": of its objects '", field,
         "' alone is read; a reward of objects looks for those that the prompt names");
  return prompt;
}

/// kLines and kJsonl.
class LinePrompts : public PromptSource {
 public:
  LinePrompts(const std::filesystem::path& file, PromptFileOptions options, bool by_name)
      : name_(file.string()), options_(std::move(options)), by_name_(by_name), lines_(file) {}

  bool next() override {
    while (lines_.next(line_))
      if (options_.format == PromptFormat::kLines ? !prompt_of_line(line_).empty()
                                                  : line_.find_first_not_of(" \t") != std::string::npos)
        return true;
    return false;
  }
  std::string prompt() const override {
    if (options_.format == PromptFormat::kJsonl)
      return prompt_of_object(parse_json_line(line_, lines_.where()), options_.field, lines_.where(), name_);
    std::string prompt(prompt_of_line(line_));
    REWARD_TUNER_CHECK(!by_name_ || !prompt.starts_with('{') || !nlohmann::json::accept(prompt), "[Prompts] ",
                       lines_.where(),
                       ": expected a prompt, got a JSON object; files of one object a line are called .jsonl");
    return prompt;
  }
  std::uint64_t offset() const override { return lines_.offset(); }
  std::uint64_t number() const override { return lines_.number(); }
  void go_to(std::uint64_t offset, std::uint64_t number) override { lines_.go_to(offset, number); }

 private:
  /// Trimmed; empty for lines that hold no prompt.
  static std::string_view prompt_of_line(std::string_view line) {
    const auto begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos || line[begin] == '#') return {};
    return line.substr(begin, line.find_last_not_of(" \t") - begin + 1);
  }

  std::string name_;
  PromptFileOptions options_;
  bool by_name_;
  TextLines lines_;
  std::string line_;
};

/// kCsv and kTsv.
class TablePrompts : public PromptSource {
 public:
  TablePrompts(const std::filesystem::path& file, char separator, const std::string& field)
      : rows_(file, separator), column_(rows_.column(field)) {}

  bool next() override { return rows_.next(); }
  std::string prompt() const override {
    const std::string& prompt = rows_.fields()[column_];
    REWARD_TUNER_CHECK(prompt.find_first_not_of(" \t\n") != std::string::npos, "[Prompts] ", rows_.where(),
                       ": expected a prompt in the column '", rows_.columns()[column_], "', got an empty field");
    return prompt;
  }
  std::uint64_t offset() const override { return rows_.offset(); }
  std::uint64_t number() const override { return rows_.number(); }
  void go_to(std::uint64_t offset, std::uint64_t number) override { rows_.go_to(offset, number); }

 private:
  TableRows rows_;
  std::size_t column_;
};

/// kJson.
class ListedPrompts : public PromptSource {
 public:
  ListedPrompts(const std::filesystem::path& file, std::string field)
      : name_(file.string()), field_(std::move(field)), list_(parse_json(read_text_file(file), name_)) {
    REWARD_TUNER_CHECK(list_.is_array(), "[Prompts] ", name_, ": expected a list of prompts or of objects, got ",
                       json_excerpt(list_));
  }

  bool next() override {
    if (following_ == list_.size()) return false;
    place_ = following_++;
    return true;
  }
  std::string prompt() const override {
    const nlohmann::json& item = list_[place_];
    const std::string where = name_ + ", item " + std::to_string(place_ + 1);
    REWARD_TUNER_CHECK(item.is_string() || item.is_object(), "[Prompts] ", where, ": expected text or an object, got ",
                       json_excerpt(item));
    return item.is_string() ? item.get<std::string>() : prompt_of_object(item, field_, where, name_);
  }
  std::uint64_t offset() const override { return place_; }
  std::uint64_t number() const override { return place_ + 1; }
  void go_to(std::uint64_t offset, std::uint64_t) override { following_ = static_cast<std::size_t>(offset); }

 private:
  std::string name_, field_;
  nlohmann::json list_;
  std::size_t place_ = 0, following_ = 0;
};

inline std::unique_ptr<PromptSource> prompt_source(const std::filesystem::path& file, PromptFileOptions options) {
  const bool by_name = options.format == PromptFormat::kByName;
  if (by_name) options.format = prompt_format(file);
  switch (options.format) {
    case PromptFormat::kJson:
      return std::make_unique<ListedPrompts>(file, std::move(options.field));
    case PromptFormat::kCsv:
      return std::make_unique<TablePrompts>(file, ',', options.field);
    case PromptFormat::kTsv:
      return std::make_unique<TablePrompts>(file, '\t', options.field);
    case PromptFormat::kByName:
    case PromptFormat::kLines:
    case PromptFormat::kJsonl:
      break;
  }
  return std::make_unique<LinePrompts>(file, std::move(options), by_name);
}

}  // namespace detail

REWARD_TUNER_INLINE PromptReader::PromptReader(const std::filesystem::path& file, const PromptFileOptions& options)
    : source_(detail::prompt_source(file, options)) {}

REWARD_TUNER_INLINE std::vector<std::string> read_prompts(const std::filesystem::path& file,
                                                          const PromptFileOptions& options) {
  PromptReader reader(file, options);
  std::vector<std::string> prompts;
  while (reader.next()) prompts.push_back(reader.prompt());
  REWARD_TUNER_CHECK(!prompts.empty(), "[Prompts] expected at least one prompt, got none in ", file.string());
  return prompts;
}

}  // namespace reward_tuner
