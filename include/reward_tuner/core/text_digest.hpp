// A short fingerprint of many lines of text, taken line by line.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace reward_tuner {

/// FNV-1a (64 bits) over lines of text, each ended by a newline: identifies a list of prompts. Not cryptographic.
class TextDigest {
 public:
  /// Takes one line, without its newline.
  void add(std::string_view line) {
    for (const char byte : line) take(static_cast<unsigned char>(byte));
    take('\n');
  }

  /// The digest of the lines so far, 16 hexadecimal digits.
  std::string text() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[(hash_ >> shift) & 15U];
    return out;
  }

 private:
  void take(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001B3ULL; }
  std::uint64_t hash_ = 0xCBF29CE484222325ULL;
};

}  // namespace reward_tuner
