// Prompt streams: every prompt once an epoch, resumed at any place, read from files of every sort, with errors that
// name the line.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/run/prompt_set.hpp>
#include <reward_tuner/run/prompt_stream.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>

namespace prompt_stream_test {
namespace {

using namespace reward_tuner;

/// A file that lives as long as this object.
struct PromptFile {
  std::filesystem::path path;
  explicit PromptFile(const std::string& text, const std::string& ending = ".txt")
      : path(std::filesystem::temp_directory_path() /
             ("reward_tuner_prompt_stream_" + std::to_string(::getpid()) + ending)) {
    write(text);
  }
  ~PromptFile() { std::filesystem::remove(path); }
  void write(const std::string& text) const { std::ofstream(path, std::ios::binary) << text; }
};

std::string numbered(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "prompt " + std::to_string(i) + "\n";
  return text;
}

std::vector<std::string> sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  return list;
}

}  // namespace

TEST_CASE("prompt stream: every prompt once an epoch, epochs and seeds in orders of their own") {
  const PromptFile file(numbered(3000));
  PromptStream stream(file.path), same(file.path), other(file.path, {.seed = 1});
  CHECK(stream.size() == 3000);
  CHECK(stream.path() == file.path);
  const auto first = stream.draw(3000), second = stream.draw(3000);
  CHECK(sorted(first) == sorted(PromptSet::from_file(file.path).prompts()));
  CHECK(sorted(second) == sorted(first));
  CHECK(first != second);
  CHECK(other.draw(3000) != first);
  CHECK((stream.state() == PromptStreamState{2, 0}));
  std::vector<std::string> pieces;  // the same order in batches of 7; the last one reaches into the next epoch
  while (pieces.size() < 3000)
    for (auto& prompt : same.draw(7)) pieces.push_back(prompt);
  CHECK((same.state() == PromptStreamState{1, 3}));
  CHECK(std::vector<std::string>(pieces.begin() + 3000, pieces.end()) ==
        std::vector<std::string>(second.begin(), second.begin() + 3));
  pieces.resize(3000);
  CHECK(pieces == first);
}

TEST_CASE("prompt stream: resumes at every position of three epochs") {
  const PromptFile file(numbered(23));
  PromptStream stream(file.path, {.seed = 5});
  const auto all = stream.draw(4 * 23);
  for (std::int64_t at = 0; at < 3 * 23; ++at) {
    PromptStream resumed(file.path, {.seed = 5});
    resumed.load_state({at / 23, at % 23});
    CHECK((resumed.state() == PromptStreamState{at / 23, at % 23}));
    CHECK(resumed.draw(11) == std::vector<std::string>(all.begin() + at, all.begin() + at + 11));
    CHECK((resumed.state() == PromptStreamState{(at + 11) / 23, (at + 11) % 23}));
  }
  CHECK_THROWS_WITH_AS(stream.load_state({0, 23}), doctest::Contains("expected a position in 0..22"), Error);
  CHECK_THROWS_WITH_AS(stream.load_state({0, 23}), doctest::Contains("has 23 prompts), got 23"), Error);
  CHECK_THROWS_AS(stream.load_state({0, -1}), Error);
  CHECK_THROWS_WITH_AS(stream.load_state({-1, 0}), doctest::Contains("an epoch >= 0, got -1"), Error);
  CHECK((stream.state() == PromptStreamState{4, 0}));
}

TEST_CASE("prompt stream: stands for a prompt set; a draw of many epochs repeats, another generator is left alone") {
  const PromptFile file("a\nb\nc\n");
  PromptStream stream(file.path);
  Rng rng(1), untouched(1);
  const auto seven = stream.draw(7, rng);
  CHECK(seven.size() == 7);
  CHECK(rng.bits() == untouched.bits());
  CHECK(std::set<std::string>(seven.begin(), seven.begin() + 3).size() == 3);
  CHECK(std::set<std::string>(seven.begin() + 3, seven.begin() + 6).size() == 3);
  CHECK_THROWS_WITH_AS(stream.draw(0), doctest::Contains("count >= 1, got 0"), Error);
  PromptStream copy = stream;
  CHECK(copy.draw(5) == stream.draw(5));
}

TEST_CASE("prompt stream: memory is an index of every 1024th prompt") {
  const PromptFile file(numbered(5 * 1024 + 1));
  PromptStream stream(file.path);
  CHECK(stream.index_bytes() == 6 * 16);
  std::vector<std::string> drawn;
  for (int i = 0; i < 40; ++i)
    for (auto& prompt : stream.draw(64)) drawn.push_back(prompt);
  CHECK(std::set<std::string>(drawn.begin(), drawn.end()).size() == drawn.size());
  for (const auto& prompt : drawn) CHECK(prompt.starts_with("prompt "));
}

TEST_CASE("prompt stream: lines are read as PromptSet reads them") {
  for (const char* text :
       {"# shapes\r\n  a red circle  \r\n\r\n \t\r\nzwei gr\xC3\xBCne Sterne\r\n#\r\n\xE6\x98\x9F\r\n",
        "a\n\nb\n# c\nd", "a", "\n\n  a \n", "a\nb\na\n"}) {
    const PromptFile file(text);
    PromptStream stream(file.path);
    const PromptSet set = PromptSet::from_file(file.path);
    CHECK(stream.size() == set.size());
    CHECK(stream.digest() == digest(set.prompts()));
    CHECK(sorted(stream.draw(static_cast<int>(set.size()))) == sorted(set.prompts()));
  }
}

TEST_CASE("prompt stream: JSON lines with a text field") {
  const PromptFile file(
      "{\"prompt\": \"a \\u00fc\\n#b\", \"n\": 1}\r\n\n  {\"n\": [2], \"prompt\": \" c \"}\r\n{\"prompt\":\"\"}",
      ".jsonl");
  PromptStream stream(file.path);
  CHECK(stream.size() == 3);
  CHECK(sorted(stream.draw(3)) == std::vector<std::string>{"", " c ", "a \xC3\xBC\n#b"});
  const PromptFile captions("{\"caption\": \"x\", \"prompt\": 1}\n", ".txt");
  CHECK(PromptStream(captions.path, {.format = PromptFormat::kJsonl, .field = "caption"}).draw(1) ==
        std::vector<std::string>{"x"});
  CHECK(PromptStream(captions.path, {.format = PromptFormat::kLines}).draw(1).front().starts_with('{'));
  CHECK(PromptStream(file.path, {.format = PromptFormat::kLines}).size() == 3);

  const auto wrong = [](const std::string& line, const char* sentence) {
    const PromptFile bad("{\"prompt\": \"fine\"}\n\n" + line + "\n", ".jsonl");
    CHECK_THROWS_WITH_AS(PromptStream(bad.path), doctest::Contains(sentence), Error);
    CHECK_THROWS_WITH_AS(PromptStream(bad.path), doctest::Contains((bad.path.string() + ":3").c_str()), Error);
  };
  wrong("{\"prompt\": \"half", "parse error");
  wrong("# no comment here", "parse error");
  wrong("{\"text\": \"x\"}", "expected a text field 'prompt', got none in object {\"text\":\"x\"}");
  wrong("{\"prompt\": 3}", "expected text in the field 'prompt', got number 3");
  wrong("{\"prompt\": null}", "got null");
  wrong("[\"prompt\"]", "expected an object, got array");
  wrong("{\"prompt\": \"a\", \"prompt\": \"b\"}", "appears twice");
  wrong("{\"prompt\": \"\xFF\"}", "expected UTF-8, got the byte 255");
}

TEST_CASE("prompt stream: files that are missing, empty, or change") {
  const PromptFile file("# nothing\n\n");
  CHECK_THROWS_WITH_AS(PromptStream(file.path), doctest::Contains("at least one prompt, got none in"), Error);
  CHECK_THROWS_WITH_AS(PromptStream(file.path.string() + ".absent"),
                       doctest::Contains("expected a prompt file, got none at"), Error);
  CHECK_THROWS_AS(PromptStream{std::filesystem::temp_directory_path()}, Error);
  file.write("one\ntwo\n");
  PromptStream stream(file.path);
  stream.draw(1);
  const PromptStreamState before = stream.state();
  file.write("one\ntwo\nthree\n");
  CHECK_THROWS_WITH_AS(stream.draw(1),
                       doctest::Contains("must not change while it is drawn from: expected 8 bytes, got 14"), Error);
  file.write("one two\n");
  CHECK_THROWS_WITH_AS(stream.draw(2), doctest::Contains("is gone"), Error);
  std::filesystem::remove(file.path);
  CHECK_THROWS_WITH_AS(stream.draw(1), doctest::Contains((file.path.string() + " must not change").c_str()), Error);
  CHECK((stream.state() == before));
  file.write("one\ntwo\n");
  CHECK_NOTHROW(stream.draw(1));
}

}  // namespace prompt_stream_test
