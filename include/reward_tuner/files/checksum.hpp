// Whether bytes are those that were written.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace reward_tuner {

/// 64 bits of some bytes as 16 hexadecimal digits, 3 GB/s. Each step is one-to-one in what was taken so far and in the
/// eight bytes that it takes: other bytes in one such word always give another checksum, and in several with all but
/// certainty. Not cryptographic.
inline std::string checksum(const void* bytes, std::size_t count) {
  const auto* next = static_cast<const unsigned char*>(bytes);
  std::uint64_t sum = count;
  for (std::size_t left = count; left > 0;) {
    const std::size_t size = left < 8 ? left : 8;
    std::uint64_t word = 0;
    std::memcpy(&word, next, size);
    sum = (sum ^ word) * 0xFF51AFD7ED558CCDULL;
    sum ^= sum >> 32;
    next += size;
    left -= size;
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += kDigits[(sum >> shift) & 15U];
  return out;
}
inline std::string checksum(std::string_view text) { return checksum(text.data(), text.size()); }

}  // namespace reward_tuner
