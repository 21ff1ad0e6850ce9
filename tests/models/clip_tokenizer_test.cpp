// The CLIP tokenizer against transformers' answers (tests/golden/make_tokenizer_golden.py) and its errors.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/backend/json_config.hpp>
#include <reward_tuner/models/clip_tokenizer.hpp>

namespace clip_tokenizer_test {
namespace {

namespace fs = std::filesystem;
using reward_tuner::ClipTokenizer;
using reward_tuner::Error;
using nlohmann::json;

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
    MESSAGE("text " << entry[0].dump(-1, ' ', true) << " gave " << json(got).dump() << ", wanted " << json(want).dump());
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
    const auto ids = ClipTokenizer::load(folder.path)(variant["texts"].get<std::vector<std::string>>(), variant["max_length"].get<std::int64_t>());
    for (std::int64_t i = 0; i < ids.size(0); ++i) CHECK(row(ids, i) == variant["ids"][static_cast<std::size_t>(i)].get<std::vector<std::int64_t>>());
  }
}

TEST_CASE("the CLIP tokenizer reads tokenizer.json where the two files are absent") {
  const Folder folder("serialized");
  json merges = json::array();
  std::ifstream file(folder.path / "merges.txt");
  for (std::string line; std::getline(file, line);)
    if (!line.starts_with("#version")) merges.push_back(line);
  folder.write("tokenizer.json", {{"model", {{"type", "BPE"}, {"vocab", reward_tuner::read_json(folder.path / "vocab.json")}, {"merges", merges}}}});
  fs::remove(folder.path / "merges.txt");
  const std::string text = "A cat's photo, 12 zebras!";
  CHECK(ClipTokenizer::load(folder.path).encode(text) == ClipTokenizer::load(kData / "tokenizer").encode(text));
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
  CHECK(message({{"pad_token", "[PAD]"}}).find("[PAD]") != std::string::npos);
  CHECK(message({{"additional_special_tokens", {"<new>"}}}).find("additional_special_tokens") != std::string::npos);
  CHECK(message({{"pad_token", {{"content", "!"}, {"lstrip", true}}}}).find("lstrip") != std::string::npos);
  CHECK(message({{"pad_token", {{"content", "!"}, {"normalized", 3}}}}).find("normalized of pad_token must be true or false, found 3") != std::string::npos);
  CHECK(message({{"model_max_length", -1e300}}).find("model_max_length") != std::string::npos);
  CHECK(message(json::array({1})).find("must be an object") != std::string::npos);
  CHECK(message({{"pad_token", "!"}}) == "no error");
  const Folder folder("merge");
  std::ofstream(folder.path / "merges.txt", std::ios::app) << "zzz qqq\n";
  CHECK_THROWS_WITH_AS(ClipTokenizer::load(folder.path), doctest::Contains("zzz"), Error);
}

}  // namespace clip_tokenizer_test
