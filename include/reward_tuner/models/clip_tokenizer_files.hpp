// What a CLIP tokenizer folder holds: vocabulary, merges and the settings that can change ids.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/models/byte_pair_encoding.hpp>

namespace reward_tuner {

/// A token that is found in the text as it stands, never split.
struct ClipSpecialToken {
  std::string text = "<|endoftext|>";  ///< the characters it stands for
  bool normalized = false;  ///< search after normalizing, so that "<|ENDOFTEXT|>" is found too, instead of before
};

/// Settings of a tokenizer folder in addition to its vocabulary; defaults as in transformers.
struct ClipTokenizerOptions {
  ClipSpecialToken bos{.text = "<|startoftext|>"};  ///< first token of every sequence
  ClipSpecialToken eos{};                           ///< last token of every sequence
  ClipSpecialToken unk{};                           ///< stands for bytes the vocabulary lacks
  ClipSpecialToken pad{};                           ///< fills short sequences; SD 2 and SDXL's second tokenizer use "!"
  /// tokens in the longest sequence the model takes, if the folder says so
  std::optional<std::int64_t> model_max_length{};
};

/// The parts a tokenizer is made of.
struct ClipTokenizerFiles {
  BytePairEncoding::Vocabulary vocabulary{};  ///< token to id
  BytePairMerges merges{};                    ///< in order of rank
  ClipTokenizerOptions options{};             ///< special tokens and length

  /// Reads vocab.json and merges.txt, or the model inside tokenizer.json where these are absent, and
  /// tokenizer_config.json and special_tokens_map.json where present. Unsupported settings (left padding, extra special
  /// tokens, ...) throw.
  static ClipTokenizerFiles read(const std::filesystem::path& folder);
};

namespace detail {

BytePairEncoding::Vocabulary tokenizer_vocabulary(const nlohmann::json& json, const std::string& where);

std::pair<std::string, std::string> tokenizer_merge(const std::string& line, const std::string& where);

BytePairMerges tokenizer_merges(const std::filesystem::path& path);

/// Reads the settings that can change ids; the rest of tokenizer_config.json concerns decoding, chat and bookkeeping.
ClipTokenizerOptions tokenizer_options(const std::filesystem::path& folder);

}  // namespace detail

inline ClipTokenizerFiles ClipTokenizerFiles::read(const std::filesystem::path& folder) {
  ClipTokenizerFiles files{.options = detail::tokenizer_options(folder)};
  if (std::filesystem::exists(folder / "vocab.json") && std::filesystem::exists(folder / "merges.txt")) {
    files.vocabulary = detail::tokenizer_vocabulary(read_json(folder / "vocab.json"), "vocab.json");
    files.merges = detail::tokenizer_merges(folder / "merges.txt");
    return files;
  }
  REWARD_TUNER_CHECK(std::filesystem::exists(folder / "tokenizer.json"),
                     "[Tokenizer] expected vocab.json and merges.txt, or tokenizer.json, in ", folder.string(),
                     ", got neither");
  const nlohmann::json json = read_json(folder / "tokenizer.json");
  const nlohmann::json model = json.is_object() ? json.value("model", nlohmann::json()) : nlohmann::json();
  REWARD_TUNER_CHECK(model.is_object() && model.value("type", nlohmann::json("BPE")) == "BPE" &&
                         model.contains("vocab") && model.contains("merges") && model["merges"].is_array(),
                     "[Tokenizer] tokenizer.json must hold a BPE model with vocab and merges");
  files.vocabulary = detail::tokenizer_vocabulary(model["vocab"], "tokenizer.json");
  for (const auto& merge : model["merges"]) {
    REWARD_TUNER_CHECK(
        merge.is_string() || (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()),
        "[Tokenizer] a merge in tokenizer.json must be a string or two strings, got ", merge.dump());
    files.merges.push_back(merge.is_string() ? detail::tokenizer_merge(merge.get<std::string>(), "tokenizer.json")
                                             : merge.get<BytePairMerges::value_type>());
  }
  return files;
}

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/clip_tokenizer_files.ipp>
#endif
