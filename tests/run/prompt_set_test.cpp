// Prompt lists and their files.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/run/prompt_stream.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>

#include <tests/reference/test_folder.hpp>

TEST_CASE("prompts are drawn without repetition as long as the list lasts, and reproducibly") {
  using namespace reward_tuner;
  const PromptSet prompts({"a", "b", "c", "d"});
  Rng rng(1), same(1);
  const auto four = prompts.draw(4, rng);
  CHECK(std::set<std::string>(four.begin(), four.end()).size() == 4);
  CHECK(prompts.draw(4, same) == four);
  const auto ten = prompts.draw(10, rng);
  CHECK(ten.size() == 10);
  for (const auto& p : prompts.prompts()) CHECK(std::count(ten.begin(), ten.end(), p) >= 2);
  std::set<std::string> firsts;
  for (int i = 0; i < 60; ++i) firsts.insert(prompts.draw(1, rng).front());
  CHECK(firsts.size() == 4);
}

TEST_CASE("prompt files: one a line, comments and blank lines skipped, ends trimmed") {
  using namespace reward_tuner;
  const auto file = std::filesystem::temp_directory_path() / "reward_tuner_prompt_set_test.txt";
  std::ofstream(file) << "# shapes\n  a red circle  \r\n\n\t\nzwei blaue Sterne\n";
  CHECK(PromptSet::from_file(file).prompts() == std::vector<std::string>{"a red circle", "zwei blaue Sterne"});
  std::ofstream(file) << "# nothing\n";
  CHECK_THROWS_WITH_AS(PromptSet::from_file(file), doctest::Contains("at least one prompt, got none in"), Error);
  std::filesystem::remove(file);
  CHECK_THROWS_WITH_AS(PromptSet::from_file(file), doctest::Contains("expected a readable text file, got none at"),
                       Error);
  CHECK_THROWS_AS(PromptSet({}), Error);
  Rng rng(1);
  CHECK_THROWS_WITH_AS(PromptSet({"a"}).draw(0, rng), doctest::Contains("count >= 1, got 0"), Error);
}

TEST_CASE("prompt files: one reader, whatever system, format and holder") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  const auto same = [&](const std::string& name, std::string_view text, const std::vector<std::string>& expected) {
    CAPTURE(text);
    io_test::write_text(folder / name, text);
    CHECK(read_prompts(folder / name) == expected);
    CHECK(PromptSet::from_file(folder / name).prompts() == expected);
    PromptStream stream(folder / name);
    CHECK(stream.digest() == digest(expected));
    auto drawn = stream.draw(static_cast<int>(expected.size())), sorted = expected;
    std::sort(drawn.begin(), drawn.end());
    std::sort(sorted.begin(), sorted.end());
    CHECK(drawn == sorted);
  };
  const std::vector<std::string> two{"a red circle", "zwei gr\xC3\xBCne Sterne"};
  for (const char* end : {"\n", "\r\n", "\r"})
    for (const char* mark : {"", "\xEF\xBB\xBF"}) {
      const std::string lines = mark + two[0] + end + "# a comment" + end + end + two[1];
      const std::string json = std::string(mark) + "{\"prompt\": \"" + two[0] + "\"}" + end + end +
                               "{\"n\": 1, \"prompt\": \"" + two[1] + "\"}";
      same("a.txt", lines, two);
      same("a", lines + end, two);
      same("a.jsonl", json, two);
      same("A.JSONL", json + end, two);
      same("a.ndjson", json, two);
    }
  same("comment.txt", "\xEF\xBB\xBF# a comment\r\na\r\n", {"a"});
  const auto fails = [&](const std::string& name, std::string_view text, const char* sentence) {
    io_test::write_text(folder / name, text);
    CHECK_THROWS_WITH_AS(PromptSet::from_file(folder / name), doctest::Contains(sentence), Error);
    CHECK_THROWS_WITH_AS(PromptStream(folder / name), doctest::Contains(sentence), Error);
  };
  fails("a.jsonl", "{\"prompt\": \"fine\"}\r\n\r\n[3]\r\n", "a.jsonl:3: expected an object, got array");
  fails("a.jsonl", "{\"prompt\": \"fine\"}\n{\"text\": \"x\"}", "a.jsonl:2: expected a text field 'prompt', got none");
  fails("a.txt", "fine\n{\"prompt\": \"x\"}\n", "a.txt:2: expected a prompt, got a JSON object");
  fails("a.txt", "fine\ngr\xFCn\n", "a.txt:2: expected UTF-8, got the byte 252");
  fails("a.json", "[\"a\"]", "expected a text file with one prompt a line, or .jsonl with one object a line, got");
  fails("a.CSV", "prompt\na\n", "expected a text file with one prompt a line");
  fails("a.jsonl", "\n", "expected at least one prompt, got none in");
  CHECK_THROWS_WITH_AS(PromptSet::from_file(folder.path), doctest::Contains("got a folder at"), Error);
  io_test::write_text(folder / "a.txt", "{red|blue} circle\n{\"prompt\": \"x\"}\n");
  CHECK(read_prompts(folder / "a.txt", {.format = PromptFormat::kLines}).size() == 2);
}
