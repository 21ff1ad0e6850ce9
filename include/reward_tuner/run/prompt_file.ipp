// Definitions of prompt_file.hpp.
#pragma once
#include <reward_tuner/run/prompt_file.hpp>

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/json_line.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE PromptFormat prompt_format(const std::filesystem::path& file) {
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (ending == ".jsonl" || ending == ".ndjson") return PromptFormat::kJsonl;
  for (const char* other : {".json", ".csv", ".tsv", ".parquet"})
    REWARD_TUNER_CHECK(ending != other,
                       "[Prompts] expected a text file with one prompt a line, or .jsonl with one "
                       "object a line, got ",
                       file.string());
  return PromptFormat::kLines;
}

REWARD_TUNER_INLINE PromptReader::PromptReader(const std::filesystem::path& file, PromptFileOptions options)
    : options_(std::move(options)), by_name_(options_.format == PromptFormat::kByName), lines_(file) {
  if (by_name_) options_.format = prompt_format(file);
}

REWARD_TUNER_INLINE std::string_view PromptReader::prompt_of_line(std::string_view line) {
  const auto begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos || line[begin] == '#') return {};
  return line.substr(begin, line.find_last_not_of(" \t") - begin + 1);
}

REWARD_TUNER_INLINE bool PromptReader::next() {
  while (lines_.next(line_))
    if (options_.format == PromptFormat::kLines ? !prompt_of_line(line_).empty()
                                                : line_.find_first_not_of(" \t") != std::string::npos)
      return true;
  return false;
}

REWARD_TUNER_INLINE std::string PromptReader::prompt() const {
  if (options_.format == PromptFormat::kJsonl)
    return text_field(parse_json_line(line_, lines_.where()), options_.field, lines_.where());
  std::string prompt(prompt_of_line(line_));
  REWARD_TUNER_CHECK(!by_name_ || !prompt.starts_with('{') || !nlohmann::json::accept(prompt), "[Prompts] ",
                     lines_.where(),
                     ": expected a prompt, got a JSON object; files of one object a line are called .jsonl");
  return prompt;
}

REWARD_TUNER_INLINE std::vector<std::string> read_prompts(const std::filesystem::path& file,
                                                          const PromptFileOptions& options) {
  PromptReader reader(file, options);
  std::vector<std::string> prompts;
  while (reader.next()) prompts.push_back(reader.prompt());
  REWARD_TUNER_CHECK(!prompts.empty(), "[Prompts] expected at least one prompt, got none in ", file.string());
  return prompts;
}

}  // namespace reward_tuner
