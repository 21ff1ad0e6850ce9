// Where a word of a prompt is among its tokens.
#pragma once
#include <cstdint>

namespace reward_tuner {

/// The tokens that one word of a prompt became: positions first .. first+count-1 of the text states.
struct WordTokens {
  std::int64_t first = 0, count = 0;
  bool operator==(const WordTokens&) const = default;
};

}  // namespace reward_tuner
