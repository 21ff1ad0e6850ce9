// Definitions of special_tokens.hpp.
#pragma once
#include <reward_tuner/text/special_tokens.hpp>

#include <algorithm>
#include <limits>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void SpecialTokens::add(const SpecialToken& token, std::optional<std::int64_t> own) {
  REWARD_TUNER_CHECK(!token.text.empty(), "[Tokenizer] special tokens must not be empty");
  normalized_.insert_or_assign(token.text, token.normalized);
  if (ids_.count(token.text)) return;
  std::int64_t next = size_;  // the next free id, as the tokenizers library counts
  for (const auto& [text, id] : ids_) next = std::max(next, id + 1);
  const std::int64_t id = ids_[token.text] = own.value_or(next);
  REWARD_TUNER_CHECK(id <= std::numeric_limits<std::int32_t>::max(), "[Tokenizer] no id is left for the added token \"",
                     token.text, "\"");
  if (!own) ++added_;
  if (token.file_id && *token.file_id != id)
    note("[Tokenizer] the token \"", token.text, "\" has the id ", *token.file_id, " in its file, but ",
         own ? "that of the vocabulary, " : "the next free one, ", id, ", is used, as by transformers");
}

REWARD_TUNER_INLINE const std::string* SpecialTokens::text(std::int64_t id) const {
  const auto found = std::find_if(ids_.begin(), ids_.end(), [id](const auto& entry) { return entry.second == id; });
  return found == ids_.end() ? nullptr : &found->first;
}

REWARD_TUNER_INLINE std::vector<SpecialTokens::Literal> SpecialTokens::literals(bool normalized) const {
  std::vector<Literal> out;
  for (const auto& [text, after] : normalized_)
    if (after == normalized) out.push_back({text, ids_.at(text)});
  return out;
}

}  // namespace reward_tuner
