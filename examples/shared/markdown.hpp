// Markdown that programs write, with its prose at no more than 120 columns.
#pragma once
#include <cstddef>
#include <sstream>
#include <string>

namespace rt_shared {

inline constexpr std::size_t kMarkdownColumns = 120;

/// A paragraph, or a list item with its hanging indent, broken between words.
inline std::string wrapped_paragraph(const std::string& text) {
  const std::string indent(text.starts_with("- ") ? 2 : 0, ' ');
  std::istringstream words(text);
  std::string out, row;
  for (std::string word; words >> word;) {
    if (!row.empty() && row.size() + 1 + word.size() > kMarkdownColumns) {
      out += row + '\n';
      row = indent + word;
    } else {
      row += (row.empty() ? "" : " ") + word;
    }
  }
  return out + row + '\n';
}

/// Joins the lines of each paragraph and list item and breaks them anew. Tables, headings, images, HTML and code stay
/// as they are. Lists are flat, with "- ".
inline std::string wrapped_markdown(const std::string& text) {
  std::istringstream in(text);
  std::string out, prose;  // of the paragraph being read
  const auto flush = [&] {
    if (!prose.empty()) out += wrapped_paragraph(prose);
    prose.clear();
  };
  bool code = false;
  for (std::string line; std::getline(in, line);) {
    const bool fence = line.starts_with("```");
    const bool kept = code || fence || line.empty() || std::string("#|!<").find(line[0]) != std::string::npos;
    if (fence) code = !code;
    if (kept || line.starts_with("- ")) flush();
    if (kept) out += line + '\n';
    else prose += (prose.empty() ? "" : " ") + line;
  }
  flush();
  return out;
}

}  // namespace rt_shared
