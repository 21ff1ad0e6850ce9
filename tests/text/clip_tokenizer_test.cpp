// The CLIP tokenizer against transformers' answers (tests/golden/make_tokenizer_golden.py) and its errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>

namespace clip_tokenizer_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using reward_tuner::ClipTokenizer;
using reward_tuner::Error;

const fs::path kData = REWARD_TUNER_TEST_DATA;

/// A copy of the golden tokenizer folder with other settings; removed at the end of the scope.
struct Folder {
  explicit Folder(const std::string& name) : path(fs::temp_directory_path() / ("reward_tuner_clip_tokenizer_" + name)) {
    fs::remove_all(path);
    fs::create_directories(path);
    for (const char* file : {"vocab.json", "merges.txt"}) fs::copy_file(kData / "tokenizer" / file, path / file);
  }
  ~Folder() { fs::remove_all(path); }
  void write(const char* file, const json& value) const {
    if (!value.is_null()) std::ofstream(path / file) << value.dump();
  }
  fs::path path;
};

std::vector<std::int64_t> row(const torch::Tensor& ids, std::int64_t i) {
  const auto* first = ids[i].data_ptr<std::int64_t>();
  return {first, first + ids.size(1)};
}

using reward_tuner::WordTokens;
using Ids = std::vector<std::int64_t>;

/// The model of a tokenizer.json with the vocabulary and merges of a folder.
json model_of(const fs::path& folder) {
  json merges = json::array();
  std::ifstream file(folder / "merges.txt");
  for (std::string line; std::getline(file, line);)
    if (!line.starts_with("#version")) merges.push_back(line);
  return {{"type", "BPE"}, {"vocab", reward_tuner::read_json(folder / "vocab.json")}, {"merges", merges}};
}

/// The ids of each word of `text`.
std::vector<Ids> word_ids(const ClipTokenizer& tokenizer, const std::string& text, std::int64_t length = 77) {
  const Ids ids = row(tokenizer({text}, length), 0);
  std::vector<Ids> out;
  for (const WordTokens& word : tokenizer.words(text, length))
    out.emplace_back(ids.begin() + word.first, ids.begin() + word.first + word.count);
  return out;
}

/// The ids of texts alone, without start and end.
std::vector<Ids> alone(const ClipTokenizer& tokenizer, const std::vector<std::string>& words) {
  std::vector<Ids> out;
  for (const std::string& word : words) {
    const Ids ids = tokenizer.encode(word);
    out.emplace_back(ids.begin() + 1, ids.end() - 1);
  }
  return out;
}

}  // namespace

TEST_CASE("the CLIP tokenizer gives transformers' ids for 1,100 texts") {
  const json cases = reward_tuner::read_json(kData / "tokenizer_cases.json");
  const auto tokenizer = ClipTokenizer::load(kData / "tokenizer");
  const auto length = cases["max_length"].get<std::int64_t>();
  CHECK(tokenizer.vocab_size() == cases["vocab_size"].get<std::int64_t>());
  CHECK(tokenizer.model_max_length() == length);
  REQUIRE(cases["texts"].size() >= 1000);
  int wrong = 0;
  for (const auto& entry : cases["texts"]) {
    const auto text = entry[0].get<std::string>();
    const auto want = entry[1].get<std::vector<std::int64_t>>();
    auto got = row(tokenizer({text}, length), 0);
    for (std::size_t i = want.size(); i < got.size(); ++i) wrong += got[i] != tokenizer.pad_id();
    got.resize(want.size());
    if (got == want) continue;
    ++wrong;
    MESSAGE("text " << entry[0].dump(-1, ' ', true) << " gave " << json(got).dump() << ", expected "
                    << json(want).dump());
  }
  CHECK(wrong == 0);
}

TEST_CASE("the CLIP tokenizer reads special tokens as transformers does") {
  const json cases = reward_tuner::read_json(kData / "tokenizer_cases.json");
  REQUIRE(cases["variants"].size() >= 7);
  for (const auto& variant : cases["variants"]) {
    CAPTURE(variant["name"].get<std::string>());
    const Folder folder("variant");
    folder.write("tokenizer_config.json", variant["tokenizer_config"]);
    folder.write("special_tokens_map.json", variant["special_tokens_map"]);
    const auto ids = ClipTokenizer::load(folder.path)(variant["texts"].get<std::vector<std::string>>(),
                                                      variant["max_length"].get<std::int64_t>());
    for (std::int64_t i = 0; i < ids.size(0); ++i)
      CHECK(row(ids, i) == variant["ids"][static_cast<std::size_t>(i)].get<std::vector<std::int64_t>>());
  }
}

TEST_CASE("the CLIP tokenizer reads tokenizer.json where the two files are absent") {
  const Folder folder("serialized");
  folder.write("tokenizer.json", {{"model", model_of(folder.path)}});
  fs::remove(folder.path / "merges.txt");
  const std::string text = "A cat's photo, 12 zebras!";
  CHECK(ClipTokenizer::load(folder.path).encode(text) == ClipTokenizer::load(kData / "tokenizer").encode(text));
}

TEST_CASE("added tokens have transformers' ids, from whichever file holds them") {
  const json cases = reward_tuner::read_json(kData / "tokenizer_cases.json");
  REQUIRE(cases["added"].size() >= 13);
  for (const auto& entry : cases["added"]) {
    CAPTURE(entry["name"].get<std::string>());
    const Folder folder("added");
    if (!entry["added_tokens"].is_null()) {
      folder.write("tokenizer.json", {{"added_tokens", entry["added_tokens"]}, {"model", model_of(folder.path)}});
      for (const char* file : {"vocab.json", "merges.txt"}) fs::remove(folder.path / file);
    }
    for (const auto& [file, content] : entry["files"].items()) folder.write(file.c_str(), content);
    std::vector<std::string> notes;
    const reward_tuner::NoteScope scope([&](const std::string& text) { notes.push_back(text); });
    const auto tokenizer = ClipTokenizer::load(folder.path);
    CHECK(tokenizer.vocab_size() == entry["tokens"].get<std::int64_t>());
    CHECK(notes.empty() == (entry["name"] != "a gap in the ids"));
    const auto ids = tokenizer(entry["texts"].get<std::vector<std::string>>(), entry["max_length"].get<std::int64_t>());
    for (std::int64_t i = 0; i < ids.size(0); ++i) {
      CAPTURE(i);
      CHECK(row(ids, i) == entry["ids"][static_cast<std::size_t>(i)].get<std::vector<std::int64_t>>());
    }
  }
}

TEST_CASE("merges.txt may begin with a byte order mark") {
  const Folder folder("mark");
  std::ifstream file(folder.path / "merges.txt", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::ofstream(folder.path / "merges.txt", std::ios::binary) << "\xEF\xBB\xBF" << text;
  CHECK(ClipTokenizer::load(folder.path).encode("a photo") ==
        ClipTokenizer::load(kData / "tokenizer").encode("a photo"));
}

TEST_CASE("what a text loses at a length is told in its own words") {
  const auto tokenizer = ClipTokenizer::load(kData / "tokenizer");
  CHECK(tokenizer.lost_text("a photo of a Cat", 7).empty());
  CHECK(tokenizer.lost_text("a photo of a Cat", 6) == "cat");
  CHECK(tokenizer.lost_text("a photo of a Cat", 4) == "of a cat");
  CHECK(tokenizer.lost_text("a photo of a Cat", 2) == "a photo of a cat");
  CHECK(tokenizer.lost_text("a caf\u00e9 \u732b <|endoftext|> x", 3) == "caf\u00e9 \u732b <|endoftext|> x");
  CHECK(tokenizer.lost_text("", 2).empty());
  CHECK_THROWS_WITH_AS(tokenizer.lost_text("a", 1), doctest::Contains("max_length"), Error);
  const json cases = reward_tuner::read_json(kData / "tokenizer_cases.json");
  for (const auto& entry : cases["texts"]) {  // something is lost if and only if a row is too short
    const auto text = entry[0].get<std::string>();
    const auto total = static_cast<std::int64_t>(tokenizer.encode(text).size());
    for (const std::int64_t length : {2, 5, 77})
      REQUIRE(tokenizer.lost_text(text, length).empty() == (total <= length));
  }
}

TEST_CASE("the CLIP tokenizer pads and truncates and keeps both ends") {
  const auto tokenizer = ClipTokenizer::load(kData / "tokenizer");
  const auto ids = tokenizer({"a cat", "a photo of a cat and a dog on a red square"}, 6);
  CHECK((ids.sizes() == at::IntArrayRef({2, 6})));
  CHECK((ids.scalar_type() == at::kLong));
  for (std::int64_t i = 0; i < 2; ++i) CHECK(row(ids, i).front() == tokenizer.bos_id());
  CHECK(row(ids, 0)[3] == tokenizer.eos_id());
  CHECK(row(ids, 0)[5] == tokenizer.pad_id());
  CHECK(row(ids, 1)[5] == tokenizer.eos_id());
  CHECK(row(ids, 1)[4] != tokenizer.eos_id());
  CHECK((tokenizer({}, 6).sizes() == at::IntArrayRef({0, 6})));
}

TEST_CASE("the CLIP tokenizer knows which tokens are a word") {
  const auto tokenizer = ClipTokenizer::load(kData / "tokenizer");
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
      {"", {}},
      {" \t\n ", {}},
      {"...!", {}},
      {"!?, (-) \xe2\x80\x94", {}},  // an em dash
      {"a photo of a cat", {"a", "photo", "of", "a", "cat"}},
      {"  A   CAT ", {"a", "cat"}},
      {"a zebrafish, in the aquarium.", {"a", "zebrafish", "in", "the", "aquarium"}},
      {"red,blue and (green)", {"red", "blue", "and", "green"}},
      {"a well-lit cat", {"a", "well", "lit", "cat"}},
      {"the cat's dog don't", {"the", "cat's", "dog", "don't"}},
      {"in 1990s, 42 cats", {"in", "1990s", "42", "cats"}},
      {"caf\u00e9 na\u00efve Stra\u00dfe", {"caf\u00e9", "na\u00efve", "stra\u00dfe"}},
      {"cafe\u0301 dog", {"caf\u00e9", "dog"}},  // composed by NFC
      // vowel signs are marks, not letters
      {"\u0928\u092e\u0938\u094d\u0924\u0947 cat", {"\u0928\u092e\u0938\u094d\u0924\u0947", "cat"}},
      {"\u732b\u3068\u72ac\u3001\u732b", {"\u732b\u3068\u72ac", "\u732b"}},  // an ideographic comma between
      {"cat \U0001f431 dog", {"cat", "dog"}},                                // an emoji is a symbol
      {"cat<|endoftext|>dog", {"cat", "dog"}},
      {"cat<|ENDOFTEXT|>s", {"cat", "endoftext", "s"}},
  };
  for (const auto& entry : cases) {
    CAPTURE(entry.first);
    CHECK(word_ids(tokenizer, entry.first) == alone(tokenizer, entry.second));
  }
  CHECK((tokenizer.words("a zebrafish!", 77) ==
         std::vector<WordTokens>{{1, 1}, {2, static_cast<std::int64_t>(alone(tokenizer, {"zebrafish"})[0].size())}}));
  CHECK(alone(tokenizer, {"zebrafish"})[0].size() > 2);
}

TEST_CASE("words of a truncated text end before its end token") {
  const auto tokenizer = ClipTokenizer::load(kData / "tokenizer");
  const std::string text = "a zebrafish and dog";
  const auto whole = word_ids(tokenizer, text);
  const auto ids = tokenizer.encode(text);
  const auto total = static_cast<std::int64_t>(ids.size());
  REQUIRE(whole.size() == 4);
  CHECK(word_ids(tokenizer, text, total) == whole);
  for (std::int64_t length = 2; length < total; ++length) {
    CAPTURE(length);
    std::vector<Ids> want;
    std::int64_t room = length - 2;  // beside start and end; this text has no punctuation
    for (const Ids& word : whole) {
      const auto kept = std::min(room, static_cast<std::int64_t>(word.size()));
      if (kept > 0) want.emplace_back(word.begin(), word.begin() + kept);
      room -= kept;
    }
    CHECK(word_ids(tokenizer, text, length) == want);
  }
  CHECK_THROWS_WITH_AS(tokenizer.words("a", 1), doctest::Contains("max_length"), Error);
}

TEST_CASE("the words of 1,100 texts ascend, lie between start and end, and end where a word of the vocabulary does") {
  const json cases = reward_tuner::read_json(kData / "tokenizer_cases.json"),
             vocabulary = reward_tuner::read_json(kData / "tokenizer" / "vocab.json");
  const auto tokenizer = ClipTokenizer::load(kData / "tokenizer");
  std::vector<std::string> tokens(static_cast<std::size_t>(tokenizer.vocab_size()));
  for (const auto& [token, id] : vocabulary.items()) tokens.at(id.get<std::size_t>()) = token;
  int found = 0;
  for (const auto& entry : cases["texts"]) {
    const auto text = entry[0].get<std::string>();
    const Ids ids = tokenizer.encode(text);
    std::int64_t behind = 1;
    for (const WordTokens& word : tokenizer.words(text, static_cast<std::int64_t>(ids.size()))) {
      REQUIRE(word.first >= behind);
      REQUIRE(word.count >= 1);
      behind = word.first + word.count;
      REQUIRE(behind <= static_cast<std::int64_t>(ids.size()) - 1);
      for (std::int64_t i = word.first; i < behind; ++i) {
        REQUIRE(ids[static_cast<std::size_t>(i)] != tokenizer.bos_id());
        REQUIRE(ids[static_cast<std::size_t>(i)] != tokenizer.eos_id());
      }
      REQUIRE(tokens[static_cast<std::size_t>(ids[static_cast<std::size_t>(behind - 1)])].ends_with("</w>"));
      if (word.first > 1) {
        const std::string& before = tokens[static_cast<std::size_t>(ids[static_cast<std::size_t>(word.first - 1)])];
        REQUIRE((before.ends_with("</w>") || before.ends_with("|>")));
      }
      ++found;
    }
  }
  CHECK(found > 1000);
}

TEST_CASE("the CLIP tokenizer names what it cannot use") {
  const auto tokenizer = ClipTokenizer::load(kData / "tokenizer");
  CHECK_THROWS_WITH_AS(tokenizer({"a"}, 1), doctest::Contains("max_length"), Error);
  CHECK_THROWS_WITH_AS(tokenizer.encode("a\xff"), doctest::Contains("UTF-8"), Error);
  CHECK_THROWS_WITH_AS(ClipTokenizer::load(kData / "no_such_folder"), doctest::Contains("vocab.json"), Error);
  const auto message = [](const json& config) {
    const Folder folder("bad");
    folder.write("tokenizer_config.json", config);
    try {
      ClipTokenizer::load(folder.path);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK(message({{"padding_side", "left"}}).find("padding_side") != std::string::npos);
  CHECK(message({{"unk_token", "[UNK]"}}).find("[UNK]") != std::string::npos);
  CHECK(message({{"extra_special_tokens", {{"image", "<new>"}}}}).find("extra_special_tokens") != std::string::npos);
  CHECK(message({{"added_tokens_decoder", {{"x", {{"content", "y"}}}}}}).find("the id of a token") !=
        std::string::npos);
  CHECK(message({{"added_tokens_decoder", {{"3000000000", {{"content", "y"}}}}}}).find("got 3000000000") !=
        std::string::npos);
  CHECK(message({{"pad_token", {{"content", "!"}, {"lstrip", true}}}}).find("lstrip") != std::string::npos);
  CHECK(
      message({{"pad_token", {{"content", "!"}, {"normalized", 3}}}}).find("pad_token must be true or false, got 3") !=
      std::string::npos);
  CHECK(message({{"model_max_length", -1e300}}).find("model_max_length") != std::string::npos);
  CHECK(message(json::array({1})).find("must be an object") != std::string::npos);
  CHECK(message({{"pad_token", "!"}}) == "no error");
  const Folder folder("merge");
  std::ofstream(folder.path / "merges.txt", std::ios::app) << "zzz qqq\n";
  CHECK_THROWS_WITH_AS(ClipTokenizer::load(folder.path), doctest::Contains("zzz"), Error);
}

}  // namespace clip_tokenizer_test
