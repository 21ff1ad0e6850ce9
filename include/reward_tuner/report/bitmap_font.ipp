// Definitions of bitmap_font.hpp.
#pragma once
#include <reward_tuner/report/bitmap_font.hpp>

#include <algorithm>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE std::string printable_ascii(std::string_view text) {
  std::string shown;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= 0x80 && byte < 0xC0) continue;  // continuation byte of a character that was already shown as '?'
    if (byte >= 0xC0) shown += '?';
    else shown += byte < 32 || byte == 127 ? ' ' : character;
  }
  return shown;
}

REWARD_TUNER_INLINE std::vector<std::string> wrap_text(std::string_view text, int max_columns, int max_lines) {
  REWARD_TUNER_CHECK(max_columns >= 3 && max_lines >= 1, "[wrap_text] expected at least 3 columns and 1 line, got ",
                     max_columns, " and ", max_lines);
  const auto limit = static_cast<std::size_t>(max_columns);
  const std::string shown = printable_ascii(text);
  std::vector<std::string> lines;
  std::string line;
  const auto place = [&](std::string word) {
    if (!line.empty() && line.size() + 1 + word.size() > limit) {
      lines.push_back(line);
      line.clear();
    }
    while (word.size() > limit) {  // one word wider than a line: cut it hard (the line is empty here)
      lines.push_back(word.substr(0, limit));
      word.erase(0, limit);
    }
    if (!word.empty()) line += (line.empty() ? "" : " ") + word;
  };
  for (std::size_t begin = 0; begin < shown.size();) {
    const std::size_t first = shown.find_first_not_of(' ', begin);
    if (first == std::string::npos) break;
    const std::size_t last = std::min(shown.find(' ', first), shown.size());
    place(shown.substr(first, last - first));
    begin = last;
  }
  if (!line.empty()) lines.push_back(line);
  if (lines.size() > static_cast<std::size_t>(max_lines)) {
    lines.resize(static_cast<std::size_t>(max_lines));
    std::string& cut = lines.back();
    if (cut.size() + 2 > limit) cut.resize(limit - 2);
    while (!cut.empty() && cut.back() == ' ') cut.pop_back();
    cut += "..";
  }
  return lines;
}

REWARD_TUNER_INLINE int text_width(const std::vector<std::string>& lines) {
  std::size_t longest = 0;
  for (const std::string& line : lines) longest = std::max(longest, line.size());
  return longest == 0 ? 0 : static_cast<int>(longest) * kGlyphAdvance - (kGlyphAdvance - kGlyphWidth);
}

}  // namespace reward_tuner
