// Text without regard to case, where only ASCII letters have one: endings of files, names of columns, answers.
#pragma once
#include <algorithm>
#include <string>

namespace reward_tuner {

/// A to Z become a to z; every other byte stays, whatever the locale.
inline std::string lower_ascii(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

}  // namespace reward_tuner
