// Templates of texts that users write: questions to a judge, texts that a detector is asked for.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace reward_tuner {

/// `text` with `value` wherever it says `place`, which is not empty. Nothing is filled into the values themselves.
inline std::string fill_in(std::string text, std::string_view place, std::string_view value) {
  for (std::size_t at = text.find(place); at != std::string::npos; at = text.find(place, at + value.size()))
    text.replace(at, place.size(), value);
  return text;
}

}  // namespace reward_tuner
