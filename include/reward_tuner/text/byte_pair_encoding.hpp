// Byte-level byte-pair encoding with an end-of-word mark (Sennrich et al. 2016), as CLIP uses it: one word in, token
// ids out.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace reward_tuner {

/// Pairs of tokens to join, in order of rank.
using BytePairMerges = std::vector<std::pair<std::string, std::string>>;

/// A vocabulary and its ordered merges. A regular value; `encode` is const and safe from several threads.
class BytePairEncoding {
 public:
  using Vocabulary = std::unordered_map<std::string, std::int64_t>;

  /// `merges` in order of rank. Every part and every merged token must be in the vocabulary. `unknown` stands for bytes
  /// the vocabulary lacks.
  BytePairEncoding(Vocabulary vocabulary, const BytePairMerges& merges, const std::string& unknown);

  std::optional<std::int64_t> id(const std::string& token) const;
  std::size_t size() const { return vocabulary_.size(); }

  /// Appends the ids of one word (UTF-8 bytes, no white space) to `out`: the lowest-ranked merge first, the leftmost of
  /// equals first.
  void encode(std::string_view word, std::vector<std::int64_t>& out) const;

  /// The bytes that `ids` spell, with a space at the end of each word. Ids outside the vocabulary spell nothing.
  std::string spelled(const std::vector<std::int64_t>& ids) const;

  /// Each byte as a printable character: visible Latin-1 stands for itself, the others take U+0100 upwards (the GPT-2
  /// table).
  static std::array<std::string, 256> byte_characters();

 private:
  struct Merge {
    std::int64_t rank, id;
  };
  struct Symbol {
    std::int64_t id, previous, next;
    bool alive;
  };

  static std::uint64_t pair_key(std::int64_t left, std::int64_t right);
  std::int64_t required(const std::string& token, std::size_t rank) const;

  Vocabulary vocabulary_;
  std::unordered_map<std::uint64_t, Merge> merges_;
  std::array<std::int64_t, 256> inside_{}, at_end_{};
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/text/byte_pair_encoding.ipp>
#endif
