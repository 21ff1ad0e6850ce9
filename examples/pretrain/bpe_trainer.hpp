// Trains a byte-pair vocabulary in the layout of CLIP's tokenizer and writes its four files.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner::pretrain {

/// A byte-pair vocabulary: 256 bytes, the same 256 closing a word ("</w>"), one token a merge, then start and end of
/// text.
struct BpeVocabulary {
  std::vector<std::string> tokens;                          ///< token text by id
  std::vector<std::pair<std::string, std::string>> merges;  ///< in order of priority

  std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t start_id() const { return size() - 2; }
  std::int64_t end_id() const { return size() - 1; }
};

/// The 256 printable stand-ins for bytes of GPT-2 and CLIP, in vocabulary order: printable Latin-1 stands for itself,
/// the rest for U+0100 onwards.
inline std::vector<std::string> byte_symbols() {
  const auto utf8 = [](unsigned code) {
    return code < 0x80 ? std::string(1, static_cast<char>(code))
                       : std::string{static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
  };
  const auto printable = [](unsigned byte) {
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  };
  std::vector<std::string> symbols;
  for (unsigned byte = 0; byte < 256; ++byte)
    if (printable(byte)) symbols.push_back(utf8(byte));
  for (unsigned code = 256; symbols.size() < 256; ++code) symbols.push_back(utf8(code));
  return symbols;
}

/// Byte-pair encoding (Sennrich et al. 2016): merges the most frequent neighboring pair until each word is one token.
/// `words` are lower-case ASCII with their counts; ties go to the pair that sorts first, so the result depends on the
/// input alone.
inline BpeVocabulary train_bpe(const std::map<std::string, std::int64_t>& words) {
  using Pair = std::pair<std::string, std::string>;
  BpeVocabulary vocabulary;
  vocabulary.tokens = byte_symbols();
  for (std::size_t i = 0; i < 256; ++i) vocabulary.tokens.push_back(vocabulary.tokens[i] + "</w>");
  std::vector<std::pair<std::vector<std::string>, std::int64_t>> split;
  for (const auto& [word, count] : words) {
    REWARD_TUNER_CHECK(!word.empty(), "[Bpe] expected words of at least one letter, got an empty one");
    std::vector<std::string> parts;
    for (const char c : word) {
      REWARD_TUNER_CHECK(c >= 'a' && c <= 'z', "[Bpe] expected words of the letters a to z, got \"", word, "\"");
      parts.emplace_back(1, c);
    }
    parts.back() += "</w>";
    split.emplace_back(std::move(parts), count);
  }
  for (;;) {
    std::map<Pair, std::int64_t> counts;
    for (const auto& [parts, count] : split)
      for (std::size_t i = 0; i + 1 < parts.size(); ++i) counts[{parts[i], parts[i + 1]}] += count;
    if (counts.empty()) break;
    auto best = counts.begin();
    for (auto it = counts.begin(); it != counts.end(); ++it)
      if (it->second > best->second) best = it;
    const Pair pair = best->first;
    for (auto& entry : split) {
      auto& parts = entry.first;
      for (std::size_t i = 0; i + 1 < parts.size(); ++i)
        if (parts[i] == pair.first && parts[i + 1] == pair.second) {
          parts[i] += parts[i + 1];
          parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
    }
    vocabulary.merges.push_back(pair);
    const std::string token = pair.first + pair.second;
    // two different pairs may spell the same token
    const auto known = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), token);
    if (known == vocabulary.tokens.end()) vocabulary.tokens.push_back(token);
  }
  vocabulary.tokens.emplace_back("<|startoftext|>");
  vocabulary.tokens.emplace_back("<|endoftext|>");
  return vocabulary;
}

/// Writes vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json as transformers' CLIPTokenizer
/// reads them.
inline void write_tokenizer(const BpeVocabulary& vocabulary, const std::filesystem::path& folder,
                            std::int64_t max_length) {
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream file(folder / name, std::ios::binary);
    file << text;
    file.flush();
    REWARD_TUNER_CHECK(file, "[Bpe] expected to write ", (folder / name).string(), ", got an error of the file system");
  };
  nlohmann::ordered_json ids;
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) ids[vocabulary.tokens[i]] = i;
  write("vocab.json", ids.dump());
  std::string merges = "#version: 0.2\n";
  for (const auto& [left, right] : vocabulary.merges) merges += left + ' ' + right + '\n';
  write("merges.txt", merges);
  const nlohmann::ordered_json special = {{"bos_token", "<|startoftext|>"},
                                          {"eos_token", "<|endoftext|>"},
                                          {"pad_token", "<|endoftext|>"},
                                          {"unk_token", "<|endoftext|>"}};
  write("special_tokens_map.json", special.dump(2) + "\n");
  nlohmann::ordered_json config = {{"tokenizer_class", "CLIPTokenizer"},
                                   {"model_max_length", max_length},
                                   {"do_lower_case", true},
                                   {"add_prefix_space", false},
                                   {"errors", "replace"}};
  config.update(special);
  write("tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace reward_tuner::pretrain
