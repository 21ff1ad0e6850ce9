// The TOML that settings files are written in, with the line of each value, so that errors can name it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/text_file.hpp>
#include <reward_tuner/models/unicode.hpp>

namespace rt_tune {

/// One `key = value`.
struct TomlEntry {
  std::vector<std::string> table;  ///< {"task", "light"} below [task.light]; empty above the first table
  std::string key;
  std::vector<std::string> values;  ///< one, or those of a list
  std::string where;                ///< "mine.toml:3"
};

/// Reads TOML: keys, tables, texts of all four forms, numbers, true and false, and flat lists of them. Values are given
/// as words: a text without its quotes, a number as it is written. Byte order marks and line ends are those of any
/// system (files/text_file.hpp).
/// Errors, which name file and line: anything else; a key or a table that stands there twice.
class TomlReader {
 public:
  /// `name`: of the file, in errors.
  TomlReader(const std::string& text, std::string name) : name_(std::move(name)) {
    reward_tuner::TextLines lines(text, name_);
    for (std::string line; lines.next(line);) text_ += line + "\n";
  }

  std::vector<TomlEntry> entries() {
    std::vector<TomlEntry> all;
    std::map<std::vector<std::string>, std::uint64_t> seen;  // a key with its table, and where it stands
    std::vector<std::string> table;
    const auto once = [&](const std::vector<std::string>& path, const std::string& shown) {
      const auto [before, fresh] = seen.emplace(path, line_);
      if (!fresh) fail(shown + " is given twice: it stands in line " + std::to_string(before->second) + " too");
    };
    for (skip_blank(); at_ < text_.size(); skip_blank()) {
      if (take("[")) {
        if (take("[")) fail("expected a table [NAME], got a list of tables");
        table = keys(']');
        std::vector<std::string> path = table;
        path.emplace_back();  // no key is empty
        once(path, "[" + joined(table) + "]");
      } else {
        TomlEntry entry{.table = table, .key = {}, .values = {}, .where = where()};
        std::vector<std::string> path = keys('=');
        entry.key = path.back();
        path.pop_back();
        entry.table.insert(entry.table.end(), path.begin(), path.end());
        path = entry.table;
        path.push_back(entry.key);
        once(path, joined(path));
        entry.values = values();
        all.push_back(std::move(entry));
      }
      end_line();
    }
    return all;
  }

 private:
  [[noreturn]] void fail(const std::string& sentence) const {
    reward_tuner::detail::fail("[rt-tune] ", where(), ": ", sentence);
  }
  std::string where() const { return name_ + ":" + std::to_string(line_); }
  static std::string joined(const std::vector<std::string>& keys) {
    std::string text;
    for (const auto& key : keys) text += (text.empty() ? "" : ".") + key;
    return text;
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char pop() {
    if (at_ == text_.size()) fail("expected the end of a value, got the end of the file");
    if (text_[at_] == '\n') ++line_;
    return text_[at_++];
  }
  bool take(std::string_view word) {
    if (!std::string_view(text_).substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  /// Also comments and line ends.
  void skip_blank() {
    for (skip_spaces(); peek() == '#' || peek() == '\n'; skip_spaces()) {
      if (peek() == '#') at_ = std::min(text_.find('\n', at_), text_.size());
      else pop();
    }
  }
  void end_line() {
    skip_spaces();
    if (peek() != '#' && peek() != '\n' && at_ < text_.size()) fail("expected the end of the line, got " + rest());
    skip_blank();
  }
  /// What is left of the line, for errors.
  std::string rest() const {
    return "'" + text_.substr(at_, std::min<std::size_t>(text_.find('\n', at_) - at_, 40)) + "'";
  }

  /// a."b".c up to `end`, which is taken.
  std::vector<std::string> keys(char end) {
    std::vector<std::string> path;
    for (;;) {
      skip_spaces();
      std::string key;
      if (peek() == '"' || peek() == '\'') key = text_value();
      else
        for (const auto bare =
                 [](char c) {
                   return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') || c == '-' ||
                          c == '_';
                 };
             bare(peek());)
          key.push_back(text_[at_++]);
      skip_spaces();
      if (key.empty() || (peek() != '.' && peek() != end))
        fail(end == '=' ? "expected NAME = VALUE, got " + rest() : "expected a table [NAME], got " + rest());
      path.push_back(std::move(key));
      if (text_[at_++] == end) return path;
    }
  }

  std::vector<std::string> values() {
    skip_spaces();
    if (!take("[")) return {value()};
    std::vector<std::string> list;
    for (skip_blank(); !take("]"); skip_blank()) {
      list.push_back(value());
      skip_blank();
      if (!take(",") && peek() != ']') fail("expected , or ] in a list, got " + rest());
    }
    if (list.empty()) fail("expected a list of at least one value, got an empty one");
    return list;
  }

  std::string value() {
    if (peek() == '"' || peek() == '\'') return text_value();
    std::string word;
    while (std::string_view(" \t\n#,]").find(peek()) == std::string_view::npos && at_ < text_.size())
      word.push_back(text_[at_++]);
    if (word == "true" || word == "false") return word;
    std::string number;
    for (const char c : word)
      if (c != '_') number.push_back(c);
    if (number.starts_with('+')) number.erase(0, 1);
    char* end = nullptr;
    static_cast<void>(std::strtod(number.c_str(), &end));
    if (number.empty() || *end != '\0' || end == number.c_str())
      fail("expected a text in quotes, a number, true, false or a list of them, got '" + word + "'");
    return number;
  }

  /// "basic", 'literal', and both with three quotes, which may have several lines.
  std::string text_value() {
    const std::string quote = text_.substr(at_, 1);
    const bool literal = quote == "'", lines = take(quote + quote + quote);
    const std::string end = lines ? quote + quote + quote : quote;
    if (lines && peek() == '\n') pop();
    else if (!lines) ++at_;
    std::string text;
    while (!take(end)) {
      if (!lines && peek() == '\n') fail("expected the end of a text " + quote + " in its line, got none");
      const char c = pop();
      if (c == '\\' && !literal) escape(text, lines);
      else text.push_back(c);
    }
    return text;
  }

  /// What stands behind a backslash.
  void escape(std::string& text, bool lines) {
    const char c = pop();
    if (lines && c == '\n') {
      for (skip_spaces(); peek() == '\n'; skip_spaces()) pop();
      return;
    }
    static const std::map<char, char> simple{{'b', '\b'}, {'t', '\t'}, {'n', '\n'}, {'f', '\f'},
                                             {'r', '\r'}, {'"', '"'},  {'\\', '\\'}};
    if (const auto found = simple.find(c); found != simple.end()) return text.push_back(found->second);
    const std::size_t digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    const std::string code = text_.substr(at_, digits);
    const bool hexadecimal = code.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    const unsigned long number = digits > 0 && code.size() == digits && hexadecimal ? std::stoul(code, nullptr, 16) : 0;
    if (number == 0 || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000))
      fail("expected an escape as \\n, \\\" or \\u00e9, got '\\" + std::string(1, c) + code + "'");
    at_ += digits;
    reward_tuner::unicode::append(text, static_cast<char32_t>(number));
  }

  std::string name_, text_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1;
};

}  // namespace rt_tune
