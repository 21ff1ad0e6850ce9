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
#include <reward_tuner/core/note.hpp>
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
  fails("a.jsonl", "\n", "expected at least one prompt, got none in");
  CHECK_THROWS_WITH_AS(PromptSet::from_file(folder.path), doctest::Contains("got a folder at"), Error);
  io_test::write_text(folder / "a.txt", "{red|blue} circle\n{\"prompt\": \"x\"}\n");
  CHECK(read_prompts(folder / "a.txt", {.format = PromptFormat::kLines}).size() == 2);
}

TEST_CASE("prompt files: the formats in which the field publishes its prompts") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  const auto read = [&](const std::string& name, std::string_view text, const std::string& field = "prompt") {
    io_test::write_text(folder / name, text);
    return read_prompts(folder / name, {.field = field});
  };
  const std::vector<std::string> two{"A red car, and \"one\" dog.", "zwei gr\xC3\xBCne Sterne"};
  // HPD v2: a list of prompts for each style; its test set is a list of objects
  CHECK(read("anime.json", R"(["A red car, and \"one\" dog.", "zwei gr\u00fcne Sterne"])") == two);
  CHECK(read("test.JSON", R"([{"prompt": "A red car, and \"one\" dog.", "image_path": ["0.jpg"], "rank": [0, 1]},
                             {"rank": [], "prompt": "zwei gr\u00fcne Sterne"}])") == two);
  // DrawBench
  CHECK(read("drawbench.csv",
             "Prompts,Category\r\n\"A red car, and \"\"one\"\" dog.\",Colors\r\n" + two[1] + ",Misc\r\n") == two);
  // GenEval
  CHECK(read("evaluation_metadata.jsonl",
             R"({"tag": "single_object", "include": [{"class": "car", "count": 1}], "prompt": "a photo of a car"})"
             "\n") == std::vector<std::string>{"a photo of a car"});
  // PartiPrompts
  CHECK(read("PartiPrompts.tsv", "Prompt\tCategory\tChallenge\tNote\n" + two[0] + "\tAbstract\tBasic\tx\n" + two[1] +
                                     "\tAbstract\tBasic\n") == two);
  // another key, another column
  CHECK(read("a.json", R"([{"caption": "a", "prompt": "no"}])", "caption") == std::vector<std::string>{"a"});
  CHECK(read("a.csv", "id,caption_en\n1,a\n", "caption_en") == std::vector<std::string>{"a"});
  CHECK(read("a.tsv", "id\tprompt\n1\ta\n", "id") == std::vector<std::string>{"1"});

  PromptStream stream(folder / "PartiPrompts.tsv");
  CHECK(stream.digest() == digest(two));
  auto drawn = stream.draw(2);
  std::sort(drawn.begin(), drawn.end());
  CHECK(drawn == two);
  CHECK_THROWS_WITH_AS(PromptStream(folder / "anime.json"),
                       doctest::Contains("[PromptStream] expected a file that can be read prompt by prompt"), Error);
  PromptReader again(folder / "anime.json");
  REQUIRE(again.next());
  REQUIRE(again.next());
  CHECK(again.number() == 2);
  CHECK_FALSE(again.next());
  again.go_to(1, 2);
  REQUIRE(again.next());
  CHECK(again.prompt() == two[1]);

  const auto fails = [&](const std::string& name, std::string_view text, const char* sentence) {
    CHECK_THROWS_WITH_AS(read(name, text), doctest::Contains(sentence), Error);
  };
  fails("a.json", "{\"prompt\": \"a\"}", "a.json: expected a list of prompts or of objects, got");
  fails("a.json", "[\"a\", 3]", "a.json, item 2: expected text or an object, got number 3");
  fails("a.json", "[{\"text\": \"a\"}]", "a.json, item 1: expected a text field 'prompt', got none in");
  fails("a.json", "[\"a\"", "a.json");
  fails("a.json", "[]", "expected at least one prompt, got none in");
  fails("a.csv", "a red car\na blue car\n", "expected a column 'prompt', got 'a red car'");
  fails("a.csv", "prompt,x\na,1\n,2\n", "a.csv:3: expected a prompt in the column 'prompt', got an empty field");
  fails("a.tsv", "prompt\n", "expected at least one prompt, got none in");
  fails("a.parquet", "PAR1", "expected prompts as text (.txt, .jsonl, .json, .csv or .tsv), got");
}

TEST_CASE("prompt files: what objects hold beside the prompt is not read, and that is said once a file") {
  using namespace reward_tuner;
  const io_test::Folder folder;
  const auto notes_of = [&](const std::string& name, std::string_view text) {
    std::vector<std::string> notes;
    const NoteScope scope([&](const std::string& note) { notes.push_back(note); });
    io_test::write_text(folder / name, text);
    for (int i = 0; i < 2; ++i) read_prompts(folder / name);
    return notes;
  };
  const std::string car = R"({"tag": "single_object", "include": [{"class": "car"}], "prompt": "a car"})";
  const auto said = notes_of("geneval.jsonl", car + "\n" + R"({"prompt": "x", "exclude": []})" + "\n");
  REQUIRE(said.size() == 1);
  CHECK(said[0] == "[Prompts] " + (folder / "geneval.jsonl").string() +
                       ": of its objects 'prompt' alone is read; a reward of objects looks for those that the prompt "
                       "names");
  CHECK(notes_of("list.json", "[\"a\", " + car + "]").size() == 1);
  CHECK(notes_of("plain.jsonl", "{\"prompt\": \"a\"}\n").empty());
  CHECK(notes_of("plain.json", "[\"a\", {\"prompt\": \"b\"}]").empty());
}
