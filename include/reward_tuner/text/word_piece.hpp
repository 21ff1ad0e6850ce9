// BERT's text tokenizer, equal to transformers' BertTokenizer (tokenizers library): special tokens, cleaning, words,
// the longest pieces of the vocabulary (Devlin et al. 2019; Wu et al. 2016, section 4.1).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>
#include <reward_tuner/text/special_tokens.hpp>

namespace reward_tuner {

/// Settings of a WordPiece tokenizer in addition to its vocabulary; defaults as in transformers.
struct WordPieceOptions {
  bool lower_case = true;                 ///< texts are brought to lower case
  std::optional<bool> strip_accents{};    ///< accents are taken off; absent: if `lower_case` is on
  bool split_ideographs = true;           ///< every CJK ideograph is a word of its own
  SpecialToken start{.text = "[CLS]"};    ///< first token of every sequence
  SpecialToken end{.text = "[SEP]"};      ///< last token of every sequence
  SpecialToken unknown{.text = "[UNK]"};  ///< stands for a word that the vocabulary cannot spell
  SpecialToken pad{.text = "[PAD]"};      ///< fills short sequences
  /// tokens in the longest sequence, if the folder says so; for the model to heed, a tokenizer cuts at what it is asked
  std::optional<std::int64_t> model_max_length{};
  /// further tokens that are found in the text as they stand, in the order in which those without an id in the
  /// vocabulary get the next free ones
  std::vector<SpecialToken> added{};
};

/// The parts a WordPiece tokenizer is made of.
struct WordPieceFiles {
  std::unordered_map<std::string, std::int64_t> vocabulary{};  ///< token to id; "##" begins a piece inside a word
  WordPieceOptions options{};                                  ///< special tokens and rules

  /// Reads the vocabulary from tokenizer.json, or vocab.txt where that is absent (a token a line), and the settings
  /// from the files that TokenizerFolder::read knows, as transformers 5 does.
  /// Errors: neither file; a model of tokenizer.json that BertTokenizer would read otherwise than it is written.
  static WordPieceFiles read(const std::filesystem::path& folder);
};

/// Token ids, and where they are text.
struct WordPieceRows {
  Tensor ids;   ///< int64 [B,L]
  Tensor mask;  ///< int64 [B,L]: 1 for a token, 0 for padding
};

/// Text to token ids. Immutable after construction and safe to use from several threads. Marks and punctuation that
/// Unicode has had since version 9 (2016) are known as such here, and are letters to the tokenizers library.
/// Example: `const auto tokenizer = WordPieceTokenizer::load("bert-base-uncased"); Tensor ids = tokenizer({"a cat"},
/// 35).ids;` (int64 [1,35])
class WordPieceTokenizer {
 public:
  /// Errors: a vocabulary without the unknown token.
  explicit WordPieceTokenizer(WordPieceFiles files);

  /// Reads a tokenizer folder; see `WordPieceFiles::read`.
  static WordPieceTokenizer load(const std::filesystem::path& folder);

  /// Start token, the text's tokens, end token. Nothing is truncated or padded. Throws on malformed UTF-8.
  std::vector<std::int64_t> encode(std::string_view text) const;

  /// Long texts lose their end but keep the end token, short ones are padded on the right. Errors: a max_length below
  /// 2.
  WordPieceRows operator()(const std::vector<std::string>& texts, std::int64_t max_length) const;

  std::int64_t start_id() const { return special_.id(options_.start.text); }
  std::int64_t end_id() const { return special_.id(options_.end.text); }
  std::int64_t pad_id() const { return special_.id(options_.pad.text); }
  /// One more than the largest id.
  std::int64_t vocab_size() const { return vocab_size_; }
  const WordPieceOptions& options() const { return options_; }

 private:
  /// Control characters go, white space becomes a space; then as the options say.
  std::u32string normalize(std::string_view text) const;
  /// Cuts at white space and around every punctuation mark.
  void append_words(std::u32string_view text, std::vector<std::int64_t>& ids) const;
  /// The longest piece of the vocabulary again and again, or one unknown token.
  void append_pieces(std::u32string_view word, std::vector<std::int64_t>& ids) const;
  std::optional<std::int64_t> id(const std::string& token) const;

  WordPieceOptions options_;
  std::unordered_map<std::string, std::int64_t> vocabulary_;
  SpecialTokens special_;
  std::int64_t vocab_size_ = 0;
  std::vector<SpecialTokens::Literal> before_, after_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/word_piece.ipp>
#endif
