// CLIP's text tokenizer, equal to transformers' CLIPTokenizer (tokenizers library): special tokens, NFC, lower case,
// words, byte-pair encoding; or to open_clip's SimpleTokenizer, which cleans the text first.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>
#include <reward_tuner/text/byte_pair_encoding.hpp>
#include <reward_tuner/text/clip_tokenizer_files.hpp>
#include <reward_tuner/text/special_tokens.hpp>
#include <reward_tuner/text/word_tokens.hpp>

namespace reward_tuner {

/// Text to token ids. Immutable after construction and safe to use from several threads.
/// Example: `const auto tokenizer = ClipTokenizer::load("model/tokenizer"); Tensor ids = tokenizer({"a cat"}, 77);`
/// (int64 [1,77])
class ClipTokenizer {
 public:
  explicit ClipTokenizer(ClipTokenizerFiles files);

  /// Reads a tokenizer folder; see `ClipTokenizerFiles::read`.
  static ClipTokenizer load(const std::filesystem::path& folder);

  /// Start token, the text's tokens, end token. Nothing is truncated or padded. Throws on malformed UTF-8.
  std::vector<std::int64_t> encode(std::string_view text) const { return tokenize(text).ids; }

  /// Where the words of a text are in its row of `operator()`. A word is a longest run of letters, numbers and
  /// contractions: "cat's" and "1990s" are one each, "well-lit" is two. Punctuation, symbols and special tokens end a
  /// word and belong to none. Where the text is truncated, a word keeps the sub-tokens that are left; one with none
  /// left is not listed.
  std::vector<WordTokens> words(std::string_view text, std::int64_t max_length) const;

  /// The end of a text for which `operator()` has no room at this length, as its tokens spell it (lower case, a space
  /// after every piece); empty if nothing is lost.
  std::string lost_text(std::string_view text, std::int64_t max_length) const;

  /// ids int64 [B,max_length]: long texts lose their end but keep the end token, short ones are padded on the right.
  Tensor operator()(const std::vector<std::string>& texts, std::int64_t max_length) const;

  std::int64_t bos_id() const { return bos_; }
  std::int64_t eos_id() const { return eos_; }
  std::int64_t pad_id() const { return pad_; }
  /// Tokens, those added to the vocabulary included.
  std::int64_t vocab_size() const { return special_.size(); }
  /// The longest sequence of the model, if the folder says so.
  std::optional<std::int64_t> model_max_length() const { return options_.model_max_length; }

 private:
  struct Tokens {
    std::vector<std::int64_t> ids;
    std::vector<WordTokens> words;
  };

  static void check_length(std::int64_t max_length);

  Tokens tokenize(std::string_view text) const;

  static std::u32string normalize(std::string_view text);

  /// Length of the word at the start of `text`, which is not white space: a contraction, a run of letters, ONE number,
  /// or a run of the rest.
  static std::size_t word_length(std::u32string_view text);

  /// Whether a piece of `word_length` can be a word: letters, a number or a contraction.
  static bool is_spoken(std::u32string_view piece);
  /// Whether it is all vowel signs, accents and zero-width joiners: CLIP cuts them off their letters, but the word goes
  /// on.
  static bool is_accent(std::u32string_view piece);

  void append_words(std::u32string_view text, Tokens& out) const;

  ClipTokenizerOptions options_;
  BytePairEncoding bpe_;
  SpecialTokens special_;
  std::int64_t bos_ = 0, eos_ = 0, pad_ = 0;
  std::vector<SpecialTokens::Literal> before_, after_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/clip_tokenizer.ipp>
#endif
