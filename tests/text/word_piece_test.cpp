// The WordPiece tokenizer against transformers' answers (tests/golden/make_word_piece_golden.py) and its errors.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/text/word_piece.hpp>

namespace word_piece_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using reward_tuner::Error;
using reward_tuner::WordPieceFiles;
using reward_tuner::WordPieceTokenizer;
using Ids = std::vector<std::int64_t>;

const fs::path kData = REWARD_TUNER_TEST_DATA;

/// A folder with the golden vocabulary and nothing else; removed at the end of the scope.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("reward_tuner_word_piece_" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
    fs::copy_file(kData / "word_piece" / "vocab.txt", path / "vocab.txt");
  }
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& file, const json& value) const { std::ofstream(path / file) << value.dump(); }
};

Ids row(const torch::Tensor& ids, std::size_t i) {
  const torch::Tensor one = ids[static_cast<std::int64_t>(i)];
  return {one.data_ptr<std::int64_t>(), one.data_ptr<std::int64_t>() + one.numel()};
}

/// The golden vocabulary as tokenizer.json has it.
json serialized_vocabulary() {
  json vocabulary;
  std::ifstream file(kData / "word_piece" / "vocab.txt");
  std::int64_t id = 0;
  for (std::string token; std::getline(file, token);) vocabulary[token] = id++;
  return vocabulary;
}

}  // namespace

TEST_CASE("the WordPiece tokenizer gives transformers' ids for 1,100 texts") {
  const json cases = reward_tuner::read_json(kData / "word_piece_cases.json"),
             texts = reward_tuner::read_json(kData / "tokenizer_cases.json")["texts"];
  const auto tokenizer = WordPieceTokenizer::load(kData / "word_piece");
  CHECK(tokenizer.vocab_size() == cases["vocab_size"].get<std::int64_t>());
  CHECK(tokenizer.options().model_max_length == 512);
  const auto length = cases["max_length"].get<std::int64_t>();
  REQUIRE(texts.size() == cases["ids"].size());
  REQUIRE(texts.size() >= 1000);
  int wrong = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Ids got = tokenizer.encode(texts[i][0].get<std::string>()), want = cases["ids"][i].get<Ids>();
    if (static_cast<std::int64_t>(got.size()) > length) {
      got.resize(static_cast<std::size_t>(length));
      got.back() = tokenizer.end_id();
    }
    if (got == want) continue;
    ++wrong;
    MESSAGE("text " << texts[i][0].dump(-1, ' ', true) << " gave " << json(got).dump() << ", expected "
                    << json(want).dump());
  }
  CHECK(wrong == 0);
}

TEST_CASE("the WordPiece tokenizer has the settings of its folder, and tokens that a program adds") {
  const json cases = reward_tuner::read_json(kData / "word_piece_cases.json");
  REQUIRE(cases["variants"].size() >= 9);
  for (const auto& variant : cases["variants"]) {
    CAPTURE(variant["name"].get<std::string>());
    const Folder folder;
    for (const auto& [file, given] : variant["files"].items()) {
      json content = given;
      if (file == "tokenizer.json") {
        content["model"]["vocab"] = serialized_vocabulary();
        fs::remove(folder.path / "vocab.txt");
      }
      folder.write(file, content);
    }
    WordPieceFiles files = WordPieceFiles::read(folder.path);
    for (const auto& text : variant["added"]) files.options.added.push_back({.text = text.get<std::string>()});
    const auto rows = WordPieceTokenizer(files)(cases["few"].get<std::vector<std::string>>(),
                                                cases["max_length"].get<std::int64_t>());
    for (std::size_t i = 0; i < cases["few"].size(); ++i) {
      CAPTURE(i);
      CHECK(row(rows.ids, i) == variant["ids"][i].get<Ids>());
      CHECK(row(rows.mask, i) == variant["mask"][i].get<Ids>());
    }
  }
}

TEST_CASE("the WordPiece tokenizer pads and truncates and keeps both ends") {
  const auto tokenizer = WordPieceTokenizer::load(kData / "word_piece");
  const auto rows = tokenizer({"a", "a b c d e f g h"}, 5);
  CHECK((rows.ids.sizes() == at::IntArrayRef({2, 5})));
  CHECK((row(rows.mask, 0) == Ids{1, 1, 1, 0, 0}));
  CHECK((row(rows.mask, 1) == Ids{1, 1, 1, 1, 1}));
  CHECK(row(rows.ids, 0)[3] == tokenizer.pad_id());
  CHECK(row(rows.ids, 1)[0] == tokenizer.start_id());
  CHECK(row(rows.ids, 1)[4] == tokenizer.end_id());
  CHECK((tokenizer({}, 5).ids.sizes() == at::IntArrayRef({0, 5})));
  CHECK_THROWS_WITH_AS(tokenizer({"a"}, 1), doctest::Contains("expected at least 2, got 1"), Error);
  CHECK_THROWS_WITH_AS(tokenizer.encode("a\xff"), doctest::Contains("UTF-8"), Error);
}

TEST_CASE("the WordPiece tokenizer names what it cannot use") {
  const auto message = [](const std::string& file, const json& content, bool with_lines = true) {
    const Folder folder;
    folder.write(file, content);
    if (!with_lines) fs::remove(folder.path / "vocab.txt");
    try {
      WordPieceTokenizer::load(folder.path);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto names = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  names(message("tokenizer_config.json", {{"do_lower_case", 1}}), "do_lower_case must be true or false, got 1");
  names(message("tokenizer_config.json", {{"padding_side", "left"}}), "padding_side");
  names(message("tokenizer_config.json", {{"unk_token", "<none>"}}), "expected the token <none> in the vocabulary");
  names(message("other.json", {}, false), "expected vocab.txt or tokenizer.json");
  const json model = {{"type", "WordPiece"}, {"vocab", serialized_vocabulary()}};
  names(message("tokenizer.json", {{"model", {{"type", "BPE"}, {"vocab", json::object()}}}}), "WordPiece model");
  CHECK(message("tokenizer.json", {{"model", model}}) == "no error");
  json other = model;
  other["max_input_chars_per_word"] = 200;
  names(message("tokenizer.json", {{"model", other}}), "expected max_input_chars_per_word to be 100");
  names(message("tokenizer.json", {{"model", model}, {"normalizer", {{"type", "NFC"}}}}), "BertNormalizer");
  names(
      message("tokenizer.json", {{"model", model}, {"normalizer", {{"type", "BertNormalizer"}, {"lowercase", false}}}}),
      "expected lowercase to be true, as BertTokenizer reads this folder, got false");
}

}  // namespace word_piece_test
