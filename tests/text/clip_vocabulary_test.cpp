// The vocabulary that the library carries, against transformers with OpenAI's own file
// (tests/golden/make_clip_vocabulary_golden.py).
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>
#include <reward_tuner/text/clip_vocabulary.hpp>

#include <tests/reference/test_folder.hpp>

namespace clip_vocabulary_test {
namespace {

namespace fs = std::filesystem;
using namespace reward_tuner;
using Ids = std::vector<std::int64_t>;

const nlohmann::json& cases() {
  static const nlohmann::json all = read_json(fs::path(REWARD_TUNER_TEST_DATA) / "clip_vocabulary_cases.json");
  return all;
}

}  // namespace

TEST_CASE("clip_vocabulary: 1,000 texts have transformers' ids, with either pad") {
  const ClipTokenizer first(clip_vocabulary()), second(clip_vocabulary("!"));
  CHECK(first.vocab_size() == 49408);
  CHECK(first.bos_id() == 49406);
  CHECK(first.eos_id() == 49407);
  CHECK(first.pad_id() == 49407);
  CHECK(second.pad_id() == 0);
  CHECK(first.model_max_length() == 77);
  const auto& texts = cases().at("texts");
  REQUIRE(texts.size() == 1000);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    CAPTURE(text);
    const auto ids = cases().at("ids")[i].get<Ids>();
    CHECK(first.encode(text) == ids);
    CHECK(second.encode(text) == cases().at("ids_2").value(std::to_string(i), ids));
  }
}

TEST_CASE("clip_vocabulary: what is written is read again, token for token") {
  for (const char* pad : {"<|endoftext|>", "!"}) {
    const io_test::Folder folder;
    const ClipTokenizerFiles files = clip_vocabulary(pad);
    write_tokenizer(folder.path / "new" / "tokenizer", files);
    const ClipTokenizerFiles again = ClipTokenizerFiles::read(folder.path / "new" / "tokenizer");
    CHECK(again.vocabulary == files.vocabulary);
    CHECK(again.merges == files.merges);
    CHECK(again.options.pad.text == pad);
    CHECK(again.options.pad.normalized == files.options.pad.normalized);
    CHECK(again.options.bos.normalized);
    CHECK(again.options.model_max_length == 77);
    CHECK_NOTHROW(write_tokenizer(folder / "again", again));
    CHECK(ClipTokenizer(again).encode("a <|ENDOFTEXT|>!") == ClipTokenizer(files).encode("a <|ENDOFTEXT|>!"));
  }
}

TEST_CASE("clip_vocabulary: a folder is not written without its added tokens") {
  const io_test::Folder folder;
  ClipTokenizerFiles files = clip_vocabulary();
  files.options.added.push_back({.text = "<concept>"});
  CHECK_THROWS_WITH_AS(
      write_tokenizer(folder.path, files),
      doctest::Contains("[Tokenizer] expected a vocabulary without added tokens to write, got \"<concept>\""), Error);
}

}  // namespace clip_vocabulary_test
