// Settings files: the values of TOML, of any system, with errors that name file and line.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <examples/tune/config_file.hpp>
#include <examples/tune/toml_file.hpp>

#include <tests/reference/test_folder.hpp>

namespace toml_file_test {
namespace {

using namespace rt_tune;
using Words = std::vector<std::string>;

Words words(const std::string& value) { return toml_entries("a = " + value + "\n", "t").at(0).values; }

std::string problem(const std::string& text) {
  try {
    toml_entries(text, "mine.toml");
  } catch (const std::exception& e) {
    return e.what();
  }
  return {};
}

std::string config_problem(const std::vector<std::string>& arguments) {
  try {
    with_config_files(arguments);
  } catch (const CLI::ParseError& e) {
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("settings files: values of every form") {
  CHECK(words("3") == Words{"3"});
  CHECK(words("+1_000  # many") == Words{"1000"});
  CHECK(words("-1e-3") == Words{"-0.001"});
  CHECK(words("1.5") == Words{"1.5"});
  CHECK(words("true") == Words{"true"});
  CHECK(words("\"blurry, low quality # not a comment\"") == Words{"blurry, low quality # not a comment"});
  CHECK(words("'C:\\new'") == Words{"C:\\new"});
  CHECK(words("\"a \\\"b\\\" \\t\\u00e9\"") == Words{"a \"b\" \t\xC3\xA9"});
  CHECK(words("\"\"\"\none \\\n   two\n\"\"\"") == Words{"one two\n"});
  CHECK(words("'''one\ntwo'''") == Words{"one\ntwo"});
  CHECK(words("\"\"") == Words{""});
  CHECK(words("[\"to_q\", 'to_k']") == Words{"to_q", "to_k"});
  CHECK(words("[\n  \"a\", # first\n\n  \"b\",\n]") == Words{"a", "b"});
}

TEST_CASE("settings files: byte order marks and line ends of any system; keys know their tables and lines") {
  for (const char* end : {"\n", "\r\n", "\r"})
    for (const char* mark : {"", "\xEF\xBB\xBF"}) {
      const std::string text = std::string(mark) + "steps = 4" + end + "# note" + end + "[task.one]" + end +
                               "reward = [\"a\"," + end + "\"b\"]" + end + "[task.\"two words\"] # more" + end +
                               "batch = 3";
      const auto entries = toml_entries(text, "mine.toml");
      CHECK(entries.size() == 3);
      CHECK((entries[0].key == "steps" && entries[0].values == Words{"4"} && entries[0].table.empty()));
      CHECK(entries[0].where == "mine.toml:1");
      CHECK((entries[1].table == Words{"task", "one"} && entries[1].values == Words{"a", "b"}));
      CHECK(entries[1].where == "mine.toml:4");
      CHECK((entries[2].table == Words{"task", "two words"} && entries[2].where == "mine.toml:7"));
    }
}

TEST_CASE("settings files: what is wrong is said with file and line") {
  const auto says = [](const std::string& text, const std::string& sentence) {
    CAPTURE(text);
    CHECK_MESSAGE(problem(text).find(sentence) != std::string::npos, problem(text));
  };
  says("rank = 4\n\nrank = 8\n",
       "mine.toml:3: Error while parsing key-value pair: cannot redefine existing integer 'rank'");
  says("[task.a]\nx = 1\n[task.a]\ny = 1\n", "mine.toml:3: Error while parsing table header: cannot redefine existing");
  says("[task.a]\nx = 1\nz = 2\nx = 3\n", "mine.toml:4: Error while parsing key-value pair: cannot redefine existing");
  says("a = 1\nmethod = drtune\n", "mine.toml:2: Error while parsing value");
  says("full\n", "mine.toml:1: Error while parsing key-value pair: expected '='");
  says("a = 1 2\n", "mine.toml:1: Error while parsing key-value pair");
  says("a = [1, 2\n", "mine.toml:1: Error while parsing array: encountered end-of-file");
  says("a = []\n", "expected a list of at least one value, got an empty one");
  says("a = [[1]]\n",
       "mine.toml:1: expected a text in quotes, a number, true, false or a list of them, got a value of type array");
  says("a = \"open\nb = 1\n", "mine.toml:1: Error while parsing string");
  says("a = \"\"\"open\n", "mine.toml:1: Error while parsing string: encountered end-of-file");
  says("a = \"\\q\"\n", "mine.toml:1: Error while parsing string: unknown escape sequence '\\q'");
  says("a = 2020-01-01\n", "got a value of type date");
  says("a =\n", "mine.toml:1: Error while parsing key-value pair: expected value");
  says("[[task]]\n", "got a value of type table");
  says("[task.a]\n[task.b]\nx = 1\n", "mine.toml:1: expected settings in the table a, got none");
  says("a = \"gr\xFCn\"\n", "mine.toml:1: expected UTF-8");
}

TEST_CASE("settings files: settings that the table does not take are refused by file and line") {
  const io_test::Folder folder;
  const std::string a = (folder / "a.toml").string(), b = (folder / "b.toml").string();
  io_test::write_text(a, "\xEF\xBB\xBFmethod = \"lsrl\"\r\nsteps = 4\r\nreward = [\"shapes\", \"parity\"]\r\n");
  CHECK(with_config_files({"tune", "--config", a, "--steps", "7"}) ==
        Words{"tune", "--steps", "7", "--method=lsrl", "--reward=shapes", "--reward=parity"});
  io_test::write_text(b, "negative = \"\"\nlora = [\"x:2\", \"y,z\"]\n");
  CHECK(with_config_files({"tune", "--config", b}) == Words{"tune", "--negative", "", "--lora=x:2", "--lora=y,z"});
  const auto says = [&](const std::string& text, const std::string& sentence) {
    CAPTURE(text);
    io_test::write_text(b, text);
    const std::string got = config_problem({"tune", "--config=" + a, "--config", b});
    CHECK_MESSAGE(got.find(sentence) != std::string::npos, got);
  };
  says("\nrnak = 4\n", "b.toml:2: expected a setting of `rt-tune tune --help`, got 'rnak'");
  says("rank = \"many\"\n", "b.toml:1: rank expected a whole number, got 'many'");
  says("rank = [4, 8]\n", "b.toml:1: rank expected one value, got 2: '4', '8'");
  says("steps = 5\n", "b.toml:1: steps is given twice: it stands in " + a + ":2 too");
  says("[tune]\nrank = 4\n", "b.toml:2: expected tables [task.NAME], got [tune]");
  says("[task.one]\nreward = \"shapes\"\n", "[task.one] is read by --tasks " + b + ", got no such flag");
  CHECK(config_problem({"tune", "--config", a, "--tasks", b}).empty());
  CHECK(config_problem({"tune", "--config", folder / "none.toml"}).find("got none at") != std::string::npos);
}

}  // namespace toml_file_test
