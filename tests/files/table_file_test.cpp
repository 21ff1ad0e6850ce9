// Rows of CSV and TSV files.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/table_file.hpp>

#include <tests/reference/test_folder.hpp>

namespace table_file_test {
namespace {

using namespace reward_tuner;
using Rows = std::vector<std::vector<std::string>>;

struct Files {
  io_test::Folder folder;
  Rows rows(std::string_view text, char separator = ',') const {
    io_test::write_text(folder / "a.csv", text);
    TableRows table(folder / "a.csv", separator);
    Rows all{table.columns()};
    while (table.next()) all.push_back(table.fields());
    return all;
  }
  void fails(std::string_view text, const char* sentence, char separator = ',') const {
    CHECK_THROWS_WITH_AS(rows(text, separator), doctest::Contains(sentence), Error);
  }
};

}  // namespace

TEST_CASE("commas: quoted fields hold commas, quotes and line ends; rows may be short, files of any system") {
  const Files files;
  CHECK(files.rows("Prompts,Category\nA red car.,Colors\n") == Rows{{"Prompts", "Category"}, {"A red car.", "Colors"}});
  CHECK(files.rows("a,b\n\"x, y\",\"say \"\"hi\"\"\"\n") == Rows{{"a", "b"}, {"x, y", "say \"hi\""}});
  CHECK(files.rows("a,b\n\"two\nlines\",1\n3,4") == Rows{{"a", "b"}, {"two\nlines", "1"}, {"3", "4"}});
  CHECK(files.rows("a,b\r\n\"two\r\nlines\",1\r\n") == Rows{{"a", "b"}, {"two\nlines", "1"}});
  CHECK(files.rows("\xEF\xBB\xBF\"a\",b\n\n1\n\"\",\n") == Rows{{"a", "b"}, {"1", ""}, {"", ""}});
  CHECK(files.rows("a\n 5\" disk\n") == Rows{{"a"}, {" 5\" disk"}});  // a quote inside is a quote
  CHECK(files.rows("a,b\n,\n") == Rows{{"a", "b"}, {"", ""}});
}

TEST_CASE("tabs: quoted as in commas, or a quote that means itself") {
  const Files files;
  CHECK(files.rows("Prompt\tNote\n\"a\tb\"\tx\n", '\t') == Rows{{"Prompt", "Note"}, {"a\tb", "x"}});
  CHECK(files.rows("Prompt\tNote\n\"Hi\" on a sign, red\tx\n", '\t') ==
        Rows{{"Prompt", "Note"}, {"\"Hi\" on a sign, red", "x"}});
  CHECK(files.rows("Prompt\tNote\n\"open\tx\n", '\t') == Rows{{"Prompt", "Note"}, {"\"open", "x"}});
  CHECK(files.rows("Prompt\tNote\n\"a \"\"b\"\"\"\t\n", '\t') == Rows{{"Prompt", "Note"}, {"a \"b\"", ""}});
}

TEST_CASE("a column is found by its name, or by the only one that differs in case or a final s") {
  const Files files;
  const auto place = [&](std::string_view header, const std::string& name) {
    io_test::write_text(files.folder / "a.csv", header);
    return TableRows(files.folder / "a.csv", ',').column(name);
  };
  CHECK(place("id,prompt\n", "prompt") == 1);
  CHECK(place("Prompts,Category\n", "prompt") == 0);
  CHECK(place("Prompt,prompts,prompt\n", "prompt") == 2);
  CHECK(place("id,Caption\n", "captions") == 1);
  CHECK_THROWS_WITH_AS(place("id,text\n", "prompt"), doctest::Contains("expected a column 'prompt', got 'id', 'text'"),
                       Error);
  CHECK_THROWS_WITH_AS(place("Prompt,Prompts\n", "prompt"),
                       doctest::Contains("expected one column 'prompt', got 'Prompt', 'Prompts'"), Error);
}

TEST_CASE("a row is found again by its place") {
  const Files files;
  io_test::write_text(files.folder / "a.csv", "a,b\n1,2\n\n\"x\ny\",3\n4,5\n");
  TableRows table(files.folder / "a.csv", ',');
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  Rows all;
  while (table.next()) {
    places.emplace_back(table.offset(), table.number());
    all.push_back(table.fields());
  }
  REQUIRE(places.size() == 3);
  CHECK(places[1] == std::pair<std::uint64_t, std::uint64_t>(9, 4));
  for (const std::size_t i : {1, 0, 2, 2}) {
    table.go_to(places[i].first, places[i].second);
    REQUIRE(table.next());
    CHECK(table.fields() == all[i]);
    CHECK(table.number() == places[i].second);
  }
}

TEST_CASE("tables that are none are named by file and line") {
  const Files files;
  files.fails("", "[Table] expected a row of column names, got an empty file at");
  files.fails("\n\n", "expected a row of column names");
  files.fails("a,a\n", "a.csv:1: expected different columns, got two 'a'");
  files.fails("a,b\n1,2\n1,2,3\n", "a.csv:3: expected at most 2 fields, one for each column, got 3");
  files.fails("a,b\n\"1,2\n3,4\n", "a.csv:2: expected the end of a quoted field, got the end of the file");
  files.fails("a,b\n\"1\" x,2\n", "a.csv:2: expected the end of a quoted field, got ' x,2' behind its quote");
  files.fails("a,b\ngr\xFCn,2\n", "a.csv:2: expected UTF-8, got the byte 252");
}

}  // namespace table_file_test
