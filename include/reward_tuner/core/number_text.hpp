// A number as text by a printf format; the first GCC with <format> is 13.
#pragma once
#include <cstddef>
#include <cstdio>
#include <string>

namespace reward_tuner {

/// `format` is printf's and takes one double: number_text("%.2f s", 0.5) is "0.50 s".
inline std::string number_text(const char* format, double value) {
  const int length = std::snprintf(nullptr, 0, format, value);
  std::string text(static_cast<std::size_t>(length > 0 ? length : 0), '\0');
  std::snprintf(text.data(), text.size() + 1, format, value);  // + 1: a string's own closing zero
  return text;
}

}  // namespace reward_tuner
