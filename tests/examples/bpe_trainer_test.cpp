// The byte-pair trainer: CLIP's layout, and one token for each word of the captions.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <examples/pretrain/bpe_trainer.hpp>
#include <reward_tuner/core/check.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

namespace bpe_trainer_test {
namespace {

using namespace reward_tuner;
using namespace reward_tuner::shapes;
using namespace reward_tuner::pretrain;

std::map<std::string, std::int64_t> grammar() {
  std::map<std::string, std::int64_t> words;
  for (const auto& word : caption_words()) words[word] = 1;
  return words;
}

/// Plain byte-pair encoding by priority, written independently of the trainer.
std::vector<std::string> encode(const BpeVocabulary& vocabulary, const std::string& word) {
  std::vector<std::string> parts;
  for (const char c : word) parts.emplace_back(1, c);
  parts.back() += "</w>";
  for (;;) {
    std::size_t best = vocabulary.merges.size(), where = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto it = std::find(vocabulary.merges.begin(), vocabulary.merges.end(), std::pair(parts[i], parts[i + 1]));
      if (const auto rank = static_cast<std::size_t>(it - vocabulary.merges.begin()); rank < best)
        best = rank, where = i;
    }
    if (best == vocabulary.merges.size()) return parts;
    parts[where] += parts[where + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
}

TEST_CASE("BPE: every word of the caption grammar is one token of the vocabulary") {
  const BpeVocabulary vocabulary = train_bpe(grammar());
  for (const auto& word : caption_words()) {
    const auto parts = encode(vocabulary, word);
    CHECK((parts == std::vector<std::string>{word + "</w>"}));
    CHECK(std::count(vocabulary.tokens.begin(), vocabulary.tokens.end(), word + "</w>") == 1);
  }
}

TEST_CASE("BPE: layout of CLIP: 512 byte tokens first, special tokens last, no token twice") {
  const BpeVocabulary vocabulary = train_bpe(grammar());
  CHECK(vocabulary.tokens[0] == "!");
  CHECK(vocabulary.tokens[256] == "!</w>");
  CHECK(vocabulary.tokens[94] == "\xC2\xA1");   // U+00A1 follows the tilde
  CHECK(vocabulary.tokens[188] == "\xC4\x80");  // U+0100 stands for byte 0
  CHECK(vocabulary.tokens[static_cast<std::size_t>(vocabulary.start_id())] == "<|startoftext|>");
  CHECK(vocabulary.tokens.back() == "<|endoftext|>");
  CHECK(std::set<std::string>(vocabulary.tokens.begin(), vocabulary.tokens.end()).size() == vocabulary.tokens.size());
}

TEST_CASE("BPE: the most frequent pair is merged first and ties go to the first in order") {
  const BpeVocabulary vocabulary = train_bpe({{"ab", 1}, {"abc", 5}, {"xy", 1}});
  CHECK((vocabulary.merges == std::vector<std::pair<std::string, std::string>>{
                                  {"a", "b"}, {"ab", "c</w>"}, {"a", "b</w>"}, {"x", "y</w>"}}));
  CHECK_THROWS_AS(train_bpe({{"Upper", 1}}), Error);
}

TEST_CASE("BPE: the written files hold the vocabulary") {
  const auto folder = std::filesystem::temp_directory_path() / "reward_tuner_bpe_trainer_test";
  const BpeVocabulary vocabulary = train_bpe(grammar());
  write_tokenizer(vocabulary, folder, 16);
  std::ifstream file(folder / "vocab.json");
  const auto ids = nlohmann::json::parse(file);
  CHECK(ids.size() == vocabulary.tokens.size());
  CHECK(ids.at("<|endoftext|>") == vocabulary.end_id());
  std::ifstream merges(folder / "merges.txt");
  std::string line;
  std::getline(merges, line);
  CHECK(line == "#version: 0.2");
  std::getline(merges, line);
  CHECK(line == vocabulary.merges[0].first + " " + vocabulary.merges[0].second);
  std::ifstream config(folder / "tokenizer_config.json");
  CHECK(nlohmann::json::parse(config).at("model_max_length") == 16);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bpe_trainer_test
