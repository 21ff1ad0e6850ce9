// Prose that programs write is broken at 120 columns; nothing else of a page moves.
#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include <examples/shared/markdown.hpp>

using rt_shared::wrapped_markdown;

namespace markdown_test {
namespace {

std::string words(int count) {
  std::string text = "word";
  for (int i = 1; i < count; ++i) text += " word";
  return text;
}

std::size_t widest(const std::string& text) {
  std::istringstream in(text);
  std::size_t most = 0;
  for (std::string line; std::getline(in, line);) most = std::max(most, line.size());
  return most;
}

}  // namespace

TEST_CASE("markdown: paragraphs and list items are at most 120 columns, and lose no word") {
  const std::string page =
      wrapped_markdown(words(70) + "\n" + words(3) + "\n\n- " + words(50) + "\n- `code` ends it\n");
  CHECK(widest(page) == 119);  // 24 words of 4 and the blanks between them
  CHECK(std::count(page.begin(), page.end(), 'w') == 123);
  CHECK(page.find("\n- word") != std::string::npos);
  CHECK(page.find("\n  word") != std::string::npos);  // the hanging indent
  CHECK(page.find("\n- `code` ends it\n") != std::string::npos);
  CHECK(wrapped_markdown(page) == page);
}

TEST_CASE("markdown: tables, headings, images, HTML and code stay as they are") {
  const std::string wide = words(40);
  for (const std::string& kept : {"| " + wide + " |\n", "# " + wide + "\n", "![" + wide + "](x.png)\n",
                                  "<img alt='" + wide + "'>\n", "```\n" + wide + "\n- " + wide + "\n```\n"})
    CHECK(wrapped_markdown("before\n\n" + kept + "\nafter\n") == "before\n\n" + kept + "\nafter\n");
}

TEST_CASE("markdown: a word wider than a line stands alone") {
  const std::string word(150, 'x');
  CHECK(wrapped_markdown("a " + word + " b\n") == "a\n" + word + "\nb\n");
}

}  // namespace markdown_test
