// The one reader of prompt files, prompt by prompt: what PromptSet and PromptStream are made of.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace reward_tuner {

/// How a prompt file is written.
enum class PromptFormat {
  /// by the ending of the file's name, in upper or lower case: .jsonl and .ndjson are kJsonl, .json is kJson, .csv is
  /// kCsv, .tsv is kTsv, any other is kLines
  kByName,
  kLines,  ///< one prompt per line, trimmed; blank lines and lines that begin with # are skipped
  kJsonl,  ///< one JSON object per line with the prompt in a text field (GenEval); blank lines are skipped
  kJson,   ///< one JSON list of prompts, or of objects with the prompt in a text field (HPD v2); read as a whole
  kCsv,    ///< a table with commas and a row of column names, one of which is the prompt's (DrawBench)
  kTsv     ///< the same with tabs (PartiPrompts)
};

/// How a prompt file is read.
struct PromptFileOptions {
  PromptFormat format = PromptFormat::kByName;  ///< how the file is written
  /// jsonl, json: the key of the text; csv, tsv: the column, as TableRows::column finds it ("Prompt" and "Prompts" too)
  std::string field = "prompt";
};

/// What kByName means for this name. Errors: .parquet, which is no text.
PromptFormat prompt_format(const std::filesystem::path& file);

/// Where a PromptReader reads; each format has one.
class PromptSource {
 public:
  PromptSource() = default;
  PromptSource(const PromptSource&) = delete;
  PromptSource& operator=(const PromptSource&) = delete;
  virtual ~PromptSource() = default;

  virtual bool next() = 0;
  virtual std::string prompt() const = 0;
  virtual std::uint64_t offset() const = 0;
  virtual std::uint64_t number() const = 0;
  virtual void go_to(std::uint64_t offset, std::uint64_t number) = 0;
};

/// The prompts of a UTF-8 text file (files/text_file.hpp), in the file's order. Of objects and rows the prompt alone is
/// read; a note says so where objects hold more.
/// Errors, which name file and line (of a JSON list, file and item): those of TextLines and TableRows; jsonl: a line
/// that is not JSON, not an object, or whose field is missing or not text; json: no list, an item that is neither text
/// nor such an object; csv, tsv: no such column, an empty field in it; lines, by name: a line that is a
/// JSON object, which belongs into a .jsonl file.
class PromptReader {
 public:
  explicit PromptReader(const std::filesystem::path& file, const PromptFileOptions& options = {});

  /// Goes to the next prompt; false at the end.
  bool next() { return source_->next(); }
  /// That prompt.
  std::string prompt() const { return source_->prompt(); }

  /// Where it begins, in bytes, and its line from 1 on; of a JSON list its place, and the same from 1 on.
  std::uint64_t offset() const { return source_->offset(); }
  std::uint64_t number() const { return source_->number(); }
  /// Goes back to a prompt: `next` finds it again.
  void go_to(std::uint64_t offset, std::uint64_t number) { source_->go_to(offset, number); }

 private:
  std::unique_ptr<PromptSource> source_;
};

/// All prompts of a file. Errors: those of PromptReader; none in the file.
std::vector<std::string> read_prompts(const std::filesystem::path& file, const PromptFileOptions& options = {});

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/run/prompt_file.ipp>
#endif
