// Definitions of table_file.hpp.
#pragma once
#include <reward_tuner/files/table_file.hpp>

#include <algorithm>
#include <set>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/lower_ascii.hpp>

namespace reward_tuner {

namespace detail {

/// In lower case, without an s at the end.
inline std::string plain_name(std::string name) {
  name = lower_ascii(std::move(name));
  if (name.ends_with('s')) name.pop_back();
  return name;
}

}  // namespace detail

REWARD_TUNER_INLINE TableRows::TableRows(const std::filesystem::path& file, char separator)
    : name_(file.string()), separator_(separator), lines_(file) {
  REWARD_TUNER_CHECK(read_row(), "[Table] expected a row of column names, got an empty file at ", name_);
  columns_ = std::move(fields_);
  std::set<std::string> seen;
  for (const std::string& column : columns_)
    REWARD_TUNER_CHECK(seen.insert(column).second, "[Table] ", where(), ": expected different columns, got two '",
                       column, "'");
}

REWARD_TUNER_INLINE std::size_t TableRows::column(const std::string& name) const {
  const auto exact = std::find(columns_.begin(), columns_.end(), name);
  if (exact != columns_.end()) return static_cast<std::size_t>(exact - columns_.begin());
  std::vector<std::size_t> like;
  std::string known;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    known += (i == 0 ? "'" : ", '") + columns_[i] + "'";
    if (detail::plain_name(columns_[i]) == detail::plain_name(name)) like.push_back(i);
  }
  REWARD_TUNER_CHECK(like.size() == 1, "[Table] ", name_, ": expected ", like.empty() ? "a" : "one", " column '", name,
                     "', got ", known);
  return like.front();
}

REWARD_TUNER_INLINE bool TableRows::next() {
  if (!read_row()) return false;
  REWARD_TUNER_CHECK(fields_.size() <= columns_.size(), "[Table] ", where(), ": expected at most ", columns_.size(),
                     " fields, one for each column, got ", fields_.size());
  fields_.resize(columns_.size());
  return true;
}

REWARD_TUNER_INLINE bool TableRows::read_row() {
  std::string line;
  do
    if (!lines_.next(line)) return false;
  while (line.find_first_not_of(" \t") == std::string::npos);
  number_ = lines_.number();
  offset_ = lines_.offset();
  fields_.clear();
  for (std::size_t at = 0;;) {
    std::string field;
    if (at == line.size() || line[at] != '"' || !read_quoted(line, at, field)) {
      const std::size_t end = std::min(line.find(separator_, at), line.size());
      field = line.substr(at, end - at);
      at = end;
    }
    fields_.push_back(std::move(field));
    if (at == line.size()) return true;
    ++at;  // the separator
  }
}

REWARD_TUNER_INLINE bool TableRows::read_quoted(std::string& line, std::size_t& at, std::string& field) {
  const bool strict = separator_ != '\t';
  std::string text;
  for (std::size_t i = at + 1;;) {
    const std::size_t quote = line.find('"', i);
    if (quote == std::string::npos) {  // the field goes on in the next line
      if (!strict) return false;
      text += line.substr(i) + "\n";
      REWARD_TUNER_CHECK(lines_.next(line), "[Table] ", where(),
                         ": expected the end of a quoted field, got the end of the file");
      i = 0;
      continue;
    }
    text += line.substr(i, quote - i);
    i = quote + 1;
    if (i < line.size() && line[i] == '"') {  // a doubled one
      text += '"';
      ++i;
      continue;
    }
    if (i < line.size() && line[i] != separator_) {
      REWARD_TUNER_CHECK(!strict, "[Table] ", where(), ": expected the end of a quoted field, got '",
                         line.substr(i, 20), "' behind its quote");
      return false;
    }
    at = i;
    field = std::move(text);
    return true;
  }
}

}  // namespace reward_tuner
