// The one reader of prompt files, line by line: what PromptSet and PromptStream are made of.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/files/text_file.hpp>

namespace reward_tuner {

/// How a prompt file is written.
enum class PromptFormat {
  /// by the ending of the file's name, in upper or lower case: .jsonl and .ndjson are kJsonl, any other is kLines
  kByName,
  kLines,  ///< one prompt per line, trimmed; blank lines and lines that begin with # are skipped
  kJsonl   ///< one JSON object per line with the prompt in a text field; blank lines are skipped
};

/// How a prompt file is read.
struct PromptFileOptions {
  PromptFormat format = PromptFormat::kByName;  ///< how the file is written
  std::string field = "prompt";                 ///< jsonl: the key of the text
};

/// kLines or kJsonl: what kByName means for this name. Errors: the endings of other data formats (.json, .csv, .tsv,
/// .parquet), whose lines are no prompts.
PromptFormat prompt_format(const std::filesystem::path& file);

/// The prompts of a UTF-8 text file (files/text_file.hpp), in the file's order.
/// Errors, which name file and line: those of TextLines; jsonl: a line that is not JSON, not an object, or whose field
/// is missing or not text; lines, by name: a line that is a JSON object, which belongs into a .jsonl file.
class PromptReader {
 public:
  explicit PromptReader(const std::filesystem::path& file, PromptFileOptions options = {});

  /// Goes to the next line that holds a prompt; false at the end.
  bool next();
  /// The prompt of that line.
  std::string prompt() const;

  /// Where that line begins, in bytes, and its number from 1 on.
  std::uint64_t offset() const { return lines_.offset(); }
  std::uint64_t number() const { return lines_.number(); }
  /// Goes back to a line: `next` finds it again.
  void go_to(std::uint64_t offset, std::uint64_t number) { lines_.go_to(offset, number); }

 private:
  /// Trimmed; empty for lines that hold no prompt.
  static std::string_view prompt_of_line(std::string_view line);

  PromptFileOptions options_;
  bool by_name_;
  TextLines lines_;
  std::string line_;
};

/// All prompts of a file. Errors: those of PromptReader; none in the file.
std::vector<std::string> read_prompts(const std::filesystem::path& file, const PromptFileOptions& options = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/prompt_file.ipp>
#endif
