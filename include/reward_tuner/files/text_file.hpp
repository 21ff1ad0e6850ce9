// Text files as users hand them: of any system's line ends, with or without a byte order mark, read by one reader.
#pragma once
#include <cstdint>
#include <filesystem>
#include <istream>
#include <memory>
#include <string>

namespace reward_tuner {

/// The lines of UTF-8 text, without their ends (LF, CRLF or CR) and without byte order marks at their beginning, which
/// the first line of a file has and those where files were joined.
/// Errors, which name file and line: a file that cannot be read, a folder, UTF-16, bytes that are not UTF-8 or zero.
/// Example: `TextLines lines(file); for (std::string line; lines.next(line);) use(line, lines.where());`
class TextLines {
 public:
  explicit TextLines(const std::filesystem::path& file);
  /// The same of text in memory; `where` names it in errors.
  TextLines(std::string text, std::string where);

  /// Reads the next line into `line`; false at the end.
  bool next(std::string& line);

  /// Of the line read last: its number from 1 on, and where it begins, in bytes.
  std::uint64_t number() const { return number_; }
  std::uint64_t offset() const { return offset_; }
  /// "prompts.txt:3": the file, and the line read last.
  std::string where() const { return name_ + ":" + std::to_string(number_); }

  /// Goes to the beginning of a line that was read before: `next` reads it again.
  void go_to(std::uint64_t offset, std::uint64_t number);

 private:
  /// Without what is no text; counts the line. False at the end.
  bool read_line(std::string& line);

  std::string name_;
  std::unique_ptr<std::istream> text_;
  std::uint64_t number_ = 0, offset_ = 0, end_ = 0;
};

/// A whole file as TextLines reads it, every line ended by LF.
std::string read_text_file(const std::filesystem::path& file);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/text_file.ipp>
#endif
