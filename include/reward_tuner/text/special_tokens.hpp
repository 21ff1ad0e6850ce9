// Tokens that a tokenizer finds in a text as they stand: their ids, and the text cut at them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reward_tuner {

/// A token that is found in the text as it stands, never split.
struct SpecialToken {
  std::string text = "";    ///< the characters it stands for
  bool normalized = false;  ///< search after normalizing, so that "<|ENDOFTEXT|>" is found too, instead of before
  /// what its file says; like transformers, a token takes its id in the vocabulary or else the next free one
  std::optional<std::int64_t> file_id = {};
};

/// The special tokens of one tokenizer by text. A regular value.
class SpecialTokens {
 public:
  /// For a vocabulary of `size` tokens.
  explicit SpecialTokens(std::int64_t size) : size_(size) {}

  /// Gives a token its id: the `own` one that the vocabulary has for it, or the next free one. One named twice keeps
  /// its id and takes the later flag, as in transformers. A file that says another id is noted.
  void add(const SpecialToken& token, std::optional<std::int64_t> own);

  std::int64_t id(const std::string& text) const { return ids_.at(text); }
  /// The token's text, or nullptr if no special token has this id.
  const std::string* text(std::int64_t id) const;
  /// Tokens of the vocabulary and those added to it.
  std::int64_t size() const { return size_ + added_; }

  /// How a token is written where it is looked for, and its id.
  struct Literal {
    std::string text;
    std::int64_t id;
  };
  /// The tokens to find before (false) or after (true) normalizing, as they are written.
  std::vector<Literal> literals(bool normalized) const;

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

 private:
  std::int64_t size_, added_ = 0;
  std::map<std::string, std::int64_t> ids_;
  std::map<std::string, bool> normalized_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/special_tokens.ipp>
#endif
