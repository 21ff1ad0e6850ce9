// What every tokenizer's folder may say beside its vocabulary: special tokens, added tokens, the longest sequence.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/text/special_tokens.hpp>

namespace reward_tuner {

/// The settings that can change ids; the rest of tokenizer_config.json concerns decoding, chat and bookkeeping.
struct TokenizerFolder {
  nlohmann::json config{};                      ///< tokenizer_config.json, and special_tokens_map.json where it counts
  nlohmann::json serialized{};                  ///< tokenizer.json; null where there is none
  std::map<std::string, SpecialToken> roles{};  ///< by role ("unk_token"): the folder's token, or the default
  /// every special token, in the order in which those without an id in the vocabulary get the next free ones
  std::vector<SpecialToken> added{};
  std::optional<std::int64_t> model_max_length{};  ///< tokens in the longest sequence the model takes, if it is said

  /// Reads tokenizer_config.json, special_tokens_map.json, added_tokens.json and tokenizer.json's added tokens, each as
  /// transformers 5 does. `defaults` has the text of each role.
  /// Errors: unsupported settings (left padding, tokens that swallow white space, ...).
  static TokenizerFolder read(const std::filesystem::path& folder, const std::map<std::string, std::string>& defaults);
};

namespace detail {

/// A vocabulary written as an object of token to id.
std::unordered_map<std::string, std::int64_t> tokenizer_vocabulary(const nlohmann::json& json,
                                                                   const std::string& where);

/// The `type` model (BPE, WordPiece) of a tokenizer.json. Errors: another one, or none with a vocabulary.
const nlohmann::json& tokenizer_model(const nlohmann::json& serialized, const std::string& type,
                                      const std::string& where);

/// Where a model's folder has its tokenizer: itself if it holds `vocabulary` (vocab.json, vocab.txt) or tokenizer.json,
/// else its folder tokenizer/; nothing where it has neither.
std::optional<std::filesystem::path> tokenizer_place(const std::filesystem::path& folder,
                                                     const std::string& vocabulary);

}  // namespace detail

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/tokenizer_folder.ipp>
#endif
