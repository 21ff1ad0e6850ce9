// Tables as text: the rows of a CSV or TSV file below its row of column names.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <reward_tuner/files/text_file.hpp>

namespace reward_tuner {

/// The rows of a table whose fields a character separates, as RFC 4180 has it: a field in double quotes may hold the
/// separator, line ends (which become LF) and, doubled, quotes. With a tab as separator a field that begins with a
/// quote and is no such field is taken as it stands, for many programs write tabs without quoting. Blank lines are
/// skipped; a row may lack its last fields, which are empty then.
/// Errors, which name file and line: those of TextLines; no row of column names, a column name twice, more fields than
/// columns, a quote that is not closed, and in commas text behind a closing quote.
/// Example: `TableRows table(file, ','); const auto name = table.column("Prompts"); while (table.next())
/// use(table.fields()[name]);`
class TableRows {
 public:
  TableRows(const std::filesystem::path& file, char separator);

  const std::vector<std::string>& columns() const { return columns_; }
  /// The place of a column: the one of that name; if there is none, the only one whose name differs in upper and lower
  /// case or in an s at its end. Errors: none, or several.
  std::size_t column(const std::string& name) const;

  /// Reads the next row; false at the end.
  bool next();
  /// Of the row read last: one for each column.
  const std::vector<std::string>& fields() const { return fields_; }

  /// Where that row begins: its line from 1 on, and in bytes; "prompts.csv:3".
  std::uint64_t number() const { return number_; }
  std::uint64_t offset() const { return offset_; }
  std::string where() const { return name_ + ":" + std::to_string(number_); }
  /// Goes to the beginning of a row that was read before: `next` reads it again.
  void go_to(std::uint64_t offset, std::uint64_t number) { lines_.go_to(offset, number); }

 private:
  /// Reads the fields of the next row that is not blank; false at the end.
  bool read_row();
  /// Reads the quoted field that begins at `at` and moves behind its closing quote; a field over several lines reads on
  /// into `line`. False, and nothing is moved, if it is no quoted field.
  bool read_quoted(std::string& line, std::size_t& at, std::string& field);

  std::string name_;
  char separator_;
  TextLines lines_;
  std::vector<std::string> columns_, fields_;
  std::uint64_t number_ = 0, offset_ = 0;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/table_file.ipp>
#endif
