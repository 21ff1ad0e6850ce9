// CLIP's text tokenizer, equal to transformers' CLIPTokenizer (tokenizers library): special tokens, NFC, lower case,
// words, byte-pair encoding.
#pragma once
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/byte_pair_encoding.hpp>
#include <reward_tuner/models/clip_tokenizer_files.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/models/unicode.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Text to token ids. Immutable after construction and safe to use from several threads.
/// Example: `const auto tokenizer = ClipTokenizer::load("model/tokenizer"); Tensor ids = tokenizer({"a cat"}, 77);  //
/// int64 [1,77]`
class ClipTokenizer {
 public:
  explicit ClipTokenizer(ClipTokenizerFiles files)
      : options_(std::move(files.options)), bpe_(std::move(files.vocabulary), files.merges, options_.unk.text) {
    bos_ = required_id(options_.bos);
    eos_ = required_id(options_.eos);
    pad_ = required_id(options_.pad);
    std::map<std::string, bool> flags;  // a token named twice takes the flag of the later role, as in transformers
    for (const auto* token : {&options_.bos, &options_.eos, &options_.unk, &options_.pad})
      flags.insert_or_assign(token->text, token->normalized);
    for (const auto& [text, normalized] : flags) {
      REWARD_TUNER_CHECK(!text.empty(), "[Tokenizer] special tokens must not be empty");
      (normalized ? after_ : before_).push_back({normalized ? unicode::encode(normalize(text)) : text, *bpe_.id(text)});
    }
  }

  /// Reads a tokenizer folder; see `ClipTokenizerFiles::read`.
  static ClipTokenizer load(const std::filesystem::path& folder) {
    return ClipTokenizer(ClipTokenizerFiles::read(folder));
  }

  /// Start token, the text's tokens, end token. Nothing is truncated or padded. Throws on malformed UTF-8.
  std::vector<std::int64_t> encode(std::string_view text) const { return tokenize(text).ids; }

  /// Where the words of a text are in its row of `operator()`. A word is a longest run of letters, numbers and
  /// contractions: "cat's" and "1990s" are one each, "well-lit" is two. Punctuation, symbols and special tokens end a
  /// word and belong to none. Where the text is truncated, a word keeps the sub-tokens that are left; one with none
  /// left is not listed.
  std::vector<WordTokens> words(std::string_view text, std::int64_t max_length) const {
    check_length(max_length);
    std::vector<WordTokens> out;
    for (const WordTokens& word : tokenize(text).words)
      if (const std::int64_t room = max_length - 1 - word.first; room > 0)
        out.push_back({word.first, std::min(word.count, room)});
    return out;
  }

  /// ids int64 [B,max_length]: long texts lose their end but keep the end token, short ones are padded on the right.
  Tensor operator()(const std::vector<std::string>& texts, std::int64_t max_length) const {
    check_length(max_length);
    const auto length = static_cast<std::size_t>(max_length);
    std::vector<std::int64_t> rows;
    rows.reserve(texts.size() * length);
    for (const std::string& text : texts) {
      std::vector<std::int64_t> ids = encode(text);
      if (ids.size() > length) {
        ids.resize(length);
        ids.back() = eos_;
      }
      ids.resize(length, pad_);
      rows.insert(rows.end(), ids.begin(), ids.end());
    }
    return at::tensor(rows, at::kLong).view({static_cast<std::int64_t>(texts.size()), max_length});  // [B,L]
  }

  std::int64_t bos_id() const { return bos_; }
  std::int64_t eos_id() const { return eos_; }
  std::int64_t pad_id() const { return pad_; }
  std::int64_t vocab_size() const { return static_cast<std::int64_t>(bpe_.size()); }
  /// The longest sequence of the model, if the folder says so.
  std::optional<std::int64_t> model_max_length() const { return options_.model_max_length; }

 private:
  struct Literal {
    std::string text;
    std::int64_t id;
  };
  struct Tokens {
    std::vector<std::int64_t> ids;
    std::vector<WordTokens> words;
  };

  static void check_length(std::int64_t max_length) {
    REWARD_TUNER_CHECK(max_length >= 2,
                       "[Tokenizer] max_length must hold the start and the end token, expected at least 2, got ",
                       max_length);
  }

  std::int64_t required_id(const ClipSpecialToken& token) const {
    const auto found = bpe_.id(token.text);
    REWARD_TUNER_CHECK(found, "[Tokenizer] the vocabulary must hold the special token \"", token.text, "\"");
    return *found;
  }

  Tokens tokenize(std::string_view text) const {
    Tokens out{{bos_}, {}};
    split(text, before_, out.ids, [&](std::string_view part) {
      const std::string normal = unicode::encode(normalize(part));
      split(normal, after_, out.ids, [&](std::string_view piece) { append_words(unicode::decode(piece), out); });
    });
    out.ids.push_back(eos_);
    return out;
  }

  /// Cuts `text` at the literals (leftmost, longest first), appends their ids and hands the parts between to `rest`.
  template <class Rest>
  static void split(std::string_view text, const std::vector<Literal>& literals, std::vector<std::int64_t>& ids,
                    Rest rest) {
    std::size_t start = 0;
    for (std::size_t at = 0; at < text.size();) {
      const Literal* best = nullptr;
      for (const Literal& literal : literals)
        if (text.substr(at).starts_with(literal.text) && (!best || literal.text.size() > best->text.size()))
          best = &literal;
      if (!best) {
        ++at;
        continue;
      }
      if (at > start) rest(text.substr(start, at - start));
      ids.push_back(best->id);
      start = at += best->text.size();
    }
    if (start < text.size()) rest(text.substr(start));
  }

  static std::u32string normalize(std::string_view text) {
    std::u32string out;
    for (const char32_t code : unicode::decode(unicode::nfc(text))) {
      if (!unicode::is_space(code)) out.push_back(code);
      else if (out.empty() || out.back() != U' ') out.push_back(U' ');
    }
    return unicode::lower(out);
  }

  /// Length of the word at the start of `text`, which is not white space: a contraction, a run of letters, ONE number,
  /// or a run of the rest.
  static std::size_t word_length(std::u32string_view text) {
    static constexpr std::array<std::u32string_view, 7> kContractions{U"'s", U"'t",  U"'re", U"'ve",
                                                                      U"'m", U"'ll", U"'d"};
    for (const auto contraction : kContractions)
      if (text.starts_with(contraction)) return contraction.size();
    if (unicode::is_number(text[0])) return 1;
    const bool letters = unicode::is_letter(text[0]);
    std::size_t end = 1;
    while (end < text.size() && unicode::is_letter(text[end]) == letters && !unicode::is_number(text[end]) &&
           !unicode::is_space(text[end]))
      ++end;
    return end;
  }

  /// Whether a piece of `word_length` can be a word: letters, a number or a contraction.
  static bool is_spoken(std::u32string_view piece) {
    return std::ranges::any_of(piece, [](char32_t c) { return unicode::is_letter(c) || unicode::is_number(c); });
  }
  /// Whether it is all vowel signs, accents and zero-width joiners: CLIP cuts them off their letters, but the word goes
  /// on.
  static bool is_accent(std::u32string_view piece) {
    return std::ranges::all_of(piece,
                               [](char32_t c) { return unicode::is_mark(c) || c == U'\u200C' || c == U'\u200D'; });
  }

  void append_words(std::u32string_view text, Tokens& out) const {
    // A special token's text that only lower-casing has made is a unit of its own, then "<|", its letters and "|>": the
    // next word starts anew.
    static constexpr std::array<std::u32string_view, 2> kMarks{U"<|startoftext|>", U"<|endoftext|>"};
    const auto here = [&] { return static_cast<std::int64_t>(out.ids.size()); };
    std::int64_t first = here();  // of the run of pieces that may become a word
    bool spoken = false;
    const auto end_run = [&](std::int64_t end) {
      if (spoken) out.words.push_back({first, end - first});
      first = here();
      spoken = false;
    };
    while (!text.empty()) {
      if (unicode::is_space(text[0])) {
        end_run(here());
        text.remove_prefix(1);
        continue;
      }
      const auto mark =
          std::find_if(kMarks.begin(), kMarks.end(), [&](std::u32string_view m) { return text.starts_with(m); });
      std::u32string_view unit = text.substr(0, mark == kMarks.end() ? word_length(text) : mark->size());
      text.remove_prefix(unit.size());
      while (!unit.empty()) {
        const std::u32string_view piece = unit.substr(0, word_length(unit));
        unit.remove_prefix(piece.size());
        const std::int64_t start = here();
        bpe_.encode(unicode::encode(piece), out.ids);
        if (is_spoken(piece)) spoken = true;
        else if (!is_accent(piece)) end_run(start);
      }
    }
    end_run(here());
  }

  ClipTokenizerOptions options_;
  BytePairEncoding bpe_;
  std::int64_t bos_ = 0, eos_ = 0, pad_ = 0;
  std::vector<Literal> before_, after_;
};

}  // namespace reward_tuner
