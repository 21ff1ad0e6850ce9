// What a CLIP tokenizer folder holds: vocabulary, merges and the settings that can change ids.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/text/byte_pair_encoding.hpp>
#include <reward_tuner/text/special_tokens.hpp>
#include <reward_tuner/text/tokenizer_folder.hpp>

namespace reward_tuner {

/// Which library's tokenizer is meant; the files of a folder are the same.
enum class ClipTokenizerStyle {
  kTransformers,  ///< CLIPTokenizer: short texts are filled with the pad token
  /// SimpleTokenizer: the text is cleaned first (see clean_open_clip_text), "<start_of_text>" and "<end_of_text>" are
  /// the special tokens that it may contain, and short texts are filled with 0
  kOpenClip,
};

/// Settings of a tokenizer folder in addition to its vocabulary; defaults as in transformers.
struct ClipTokenizerOptions {
  SpecialToken bos{.text = "<|startoftext|>"};  ///< first token of every sequence
  SpecialToken eos{.text = "<|endoftext|>"};    ///< last token of every sequence
  SpecialToken unk{.text = "<|endoftext|>"};    ///< stands for bytes the vocabulary lacks
  SpecialToken pad{.text = "<|endoftext|>"};    ///< fills short sequences; SD 2 and SDXL's second tokenizer use "!"
  /// tokens in the longest sequence the model takes, if the folder says so
  std::optional<std::int64_t> model_max_length{};
  /// further tokens that are found in the text as they stand, in the order in which those without an id in the
  /// vocabulary get the next free ones (textual inversion, added pad tokens)
  std::vector<SpecialToken> added{};
  ClipTokenizerStyle style = ClipTokenizerStyle::kTransformers;  ///< not in the folder
};

/// The parts a tokenizer is made of.
struct ClipTokenizerFiles {
  BytePairEncoding::Vocabulary vocabulary{};  ///< token to id
  BytePairMerges merges{};                    ///< in order of rank
  ClipTokenizerOptions options{};             ///< special tokens and length

  /// Reads the model inside tokenizer.json, or vocab.json and merges.txt where that is absent, and where present
  /// tokenizer_config.json, special_tokens_map.json and added_tokens.json, each as transformers 5 does. Unsupported
  /// settings (left padding, tokens that swallow white space, ...) throw.
  static ClipTokenizerFiles read(const std::filesystem::path& folder);
};

namespace detail {

std::pair<std::string, std::string> tokenizer_merge(const std::string& line, const std::string& where);

BytePairMerges tokenizer_merges(const std::filesystem::path& path);

/// What every tokenizer's folder may say, of CLIP's.
TokenizerFolder clip_tokenizer_folder(const std::filesystem::path& folder);

/// The settings of that folder.
ClipTokenizerOptions tokenizer_options(TokenizerFolder said, const std::filesystem::path& folder);

}  // namespace detail

inline ClipTokenizerFiles ClipTokenizerFiles::read(const std::filesystem::path& folder) {
  TokenizerFolder said = detail::clip_tokenizer_folder(folder);
  const nlohmann::json serialized = std::move(said.serialized);
  ClipTokenizerFiles files{.options = detail::tokenizer_options(std::move(said), folder)};
  const auto vocabulary = folder / "vocab.json", merges = folder / "merges.txt";
  if (serialized.is_null()) {
    REWARD_TUNER_CHECK(std::filesystem::exists(vocabulary) && std::filesystem::exists(merges),
                       "[Tokenizer] expected vocab.json and merges.txt, or tokenizer.json, in ", folder.string(),
                       ", got neither");
    files.vocabulary = detail::tokenizer_vocabulary(read_json(vocabulary), vocabulary.string());
    files.merges = detail::tokenizer_merges(merges);
    return files;
  }
  const std::string where = (folder / "tokenizer.json").string();
  const nlohmann::json& model = detail::tokenizer_model(serialized, "BPE", where);
  REWARD_TUNER_CHECK(model.contains("merges") && model["merges"].is_array(), "[Tokenizer] the model of ", where,
                     " must have a list of merges");
  files.vocabulary = detail::tokenizer_vocabulary(model["vocab"], where);
  for (const auto& merge : model["merges"]) {
    REWARD_TUNER_CHECK(
        merge.is_string() || (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()),
        "[Tokenizer] a merge in ", where, " must be a string or two strings, got ", merge.dump());
    files.merges.push_back(merge.is_string() ? detail::tokenizer_merge(merge.get<std::string>(), where)
                                             : merge.get<BytePairMerges::value_type>());
  }
  return files;
}

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/clip_tokenizer_files.ipp>
#endif
