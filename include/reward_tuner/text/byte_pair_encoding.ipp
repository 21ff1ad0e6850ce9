// Definitions of byte_pair_encoding.hpp.
#pragma once
#include <reward_tuner/text/byte_pair_encoding.hpp>

#include <functional>
#include <queue>
#include <tuple>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/text/unicode.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE BytePairEncoding::BytePairEncoding(Vocabulary vocabulary, const BytePairMerges& merges,
                                                       const std::string& unknown)
    : vocabulary_(std::move(vocabulary)) {
  const auto unknown_id = id(unknown);
  REWARD_TUNER_CHECK(unknown_id, "[Tokenizer] the vocabulary must hold the unknown token \"", unknown, "\"");
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    merges_.insert_or_assign(pair_key(required(left, rank), required(right, rank)),
                             Merge{static_cast<std::int64_t>(rank), required(left + right, rank)});
  }
  const auto characters = byte_characters();
  for (std::size_t byte = 0; byte < 256; ++byte) {
    inside_[byte] = id(characters[byte]).value_or(*unknown_id);
    at_end_[byte] = id(characters[byte] + "</w>").value_or(*unknown_id);
  }
}

REWARD_TUNER_INLINE std::optional<std::int64_t> BytePairEncoding::id(const std::string& token) const {
  const auto found = vocabulary_.find(token);
  return found == vocabulary_.end() ? std::nullopt : std::optional<std::int64_t>(found->second);
}

REWARD_TUNER_INLINE void BytePairEncoding::encode(std::string_view word, std::vector<std::int64_t>& out) const {
  if (word.empty()) return;
  const auto length = static_cast<std::int64_t>(word.size());
  std::vector<Symbol> symbols;  // a linked list: merged symbols leave it
  symbols.reserve(word.size());
  for (std::int64_t i = 0; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    symbols.push_back({i + 1 == length ? at_end_[byte] : inside_[byte], i - 1, i + 1 == length ? -1 : i + 1, true});
  }
  using Candidate = std::tuple<std::int64_t, std::int64_t, std::int64_t>;  // rank, position, merged id
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto merge_at = [&](std::int64_t left) -> const Merge* {
    const std::int64_t right = symbols[left].next;
    if (right < 0) return nullptr;
    const auto found = merges_.find(pair_key(symbols[left].id, symbols[right].id));
    return found == merges_.end() ? nullptr : &found->second;
  };
  const auto offer = [&](std::int64_t left) {
    if (left < 0) return;
    if (const Merge* merge = merge_at(left)) queue.emplace(merge->rank, left, merge->id);
  };
  for (std::int64_t i = 0; i < length; ++i) offer(i);
  while (!queue.empty()) {
    const auto [rank, left, merged] = queue.top();
    queue.pop();
    if (!symbols[left].alive) continue;
    const Merge* merge = merge_at(left);
    if (!merge || merge->id != merged) continue;  // an earlier merge has changed this pair
    Symbol& symbol = symbols[left];
    symbols[symbol.next].alive = false;
    symbol.id = merged;
    symbol.next = symbols[symbol.next].next;
    if (symbol.next >= 0) symbols[symbol.next].previous = left;
    offer(symbol.previous);
    offer(left);
  }
  for (std::int64_t i = 0; i >= 0; i = symbols[i].next) out.push_back(symbols[i].id);
}

REWARD_TUNER_INLINE std::string BytePairEncoding::spelled(const std::vector<std::int64_t>& ids) const {
  std::unordered_map<std::int64_t, std::string_view> tokens;  // of these ids only: the whole vocabulary is large
  for (const std::int64_t id : ids) tokens.emplace(id, "");
  for (const auto& [token, id] : vocabulary_)
    if (const auto found = tokens.find(id); found != tokens.end()) found->second = token;
  std::unordered_map<char32_t, char> bytes;
  const auto characters = byte_characters();
  for (std::size_t byte = 0; byte < 256; ++byte) bytes[unicode::decode(characters[byte])[0]] = static_cast<char>(byte);
  std::string out;
  for (const std::int64_t id : ids) {
    std::string_view token = tokens.at(id);
    const bool ends = token.ends_with("</w>");
    if (ends) token.remove_suffix(4);
    for (const char32_t character : unicode::decode(token))
      if (const auto found = bytes.find(character); found != bytes.end()) out += found->second;
    if (ends) out += ' ';
  }
  return out;
}

REWARD_TUNER_INLINE std::array<std::string, 256> BytePairEncoding::byte_characters() {
  std::array<std::string, 256> table;
  char32_t next = 256;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    unicode::append(table[byte], visible ? byte : next++);
  }
  return table;
}

REWARD_TUNER_INLINE std::uint64_t BytePairEncoding::pair_key(std::int64_t left, std::int64_t right) {
  return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint64_t>(right);
}

REWARD_TUNER_INLINE std::int64_t BytePairEncoding::required(const std::string& token, std::size_t rank) const {
  const auto found = id(token);
  REWARD_TUNER_CHECK(found, "[Tokenizer] merge ", rank + 1, " needs the token \"", token,
                     "\", which the vocabulary lacks");
  return *found;
}

}  // namespace reward_tuner
