// Text files of every system: line ends, byte order marks, and errors that name file and line.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/text_file.hpp>

#include <tests/reference/test_folder.hpp>

namespace text_file_test {
namespace {

using namespace reward_tuner;

std::vector<std::string> lines_of(const std::string& text) {
  TextLines lines(text, "text");
  std::vector<std::string> all;
  for (std::string line; lines.next(line);) all.push_back(line);
  return all;
}

}  // namespace

TEST_CASE("text files: lines end as on any system, and byte order marks are no text") {
  const std::vector<std::string> two{"one", "two"};
  for (const char* text : {"one\ntwo\n", "one\ntwo", "one\r\ntwo\r\n", "one\r\ntwo", "one\rtwo\r", "one\rtwo",
                           "\xEF\xBB\xBFone\ntwo\n", "\xEF\xBB\xBFone\r\ntwo\r\n", "one\n\xEF\xBB\xBFtwo\n"}) {
    CAPTURE(text);
    CHECK(lines_of(text) == two);
  }
  CHECK(lines_of("").empty());
  CHECK(lines_of("\xEF\xBB\xBF") == std::vector<std::string>{""});
  CHECK(lines_of("\n\r\n\r") == std::vector<std::string>{"", "", ""});
  CHECK(lines_of("zwei gr\xC3\xBCne \xE6\x98\x9F") == std::vector<std::string>{"zwei gr\xC3\xBCne \xE6\x98\x9F"});
  const io_test::Folder folder;
  io_test::write_text(folder / "a.txt", "\xEF\xBB\xBFone\r\ntwo");
  CHECK(read_text_file(folder / "a.txt") == "one\ntwo\n");
}

TEST_CASE("text files: a line can be read again by its place") {
  const io_test::Folder folder;
  io_test::write_text(folder / "a.txt", "\xEF\xBB\xBFone\r\ntwo\rthree\nfour");
  TextLines lines(folder / "a.txt");
  std::vector<std::pair<std::uint64_t, std::string>> places;
  for (std::string line; lines.next(line);) places.emplace_back(lines.offset(), line);
  CHECK(places.size() == 4);
  for (std::uint64_t i = 4; i-- > 0;) {
    std::string line;
    lines.go_to(places[i].first, i + 1);
    CHECK(lines.next(line));
    CHECK(line == places[i].second);
    CHECK(lines.where() == (folder / "a.txt").string() + ":" + std::to_string(i + 1));
  }
}

TEST_CASE("text files: what is no UTF-8 text is said, with file and line") {
  const io_test::Folder folder;
  const auto fails = [&](std::string_view text, const std::string& sentence) {
    io_test::write_text(folder / "a.txt", text);
    CHECK_THROWS_WITH_AS(read_text_file(folder / "a.txt"), doctest::Contains(sentence.c_str()), Error);
  };
  using namespace std::string_view_literals;
  fails("one\ngr\xFCn\n", (folder / "a.txt").string() + ":2: expected UTF-8, got the byte 252 at position 2");
  fails("one\0two"sv, "a.txt:1: expected UTF-8, got the byte 0 at position 3");
  fails("\xFF\xFEo\0n\0"sv, "a.txt:1: expected UTF-8, got UTF-16");
  fails("\xFE\xFF\0o\0n"sv, "got UTF-16");
  fails("\x1F\x8B\x08"sv, "expected UTF-8, got the byte 139");
  CHECK_THROWS_WITH_AS(read_text_file(folder.path), doctest::Contains("expected a text file, got a folder at"), Error);
  CHECK_THROWS_WITH_AS(read_text_file(folder / "none"), doctest::Contains("expected a readable text file, got none at"),
                       Error);
}

}  // namespace text_file_test
