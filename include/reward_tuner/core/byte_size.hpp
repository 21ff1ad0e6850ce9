// Sizes in bytes as people write them: "4GB", "512MiB".
#pragma once
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace reward_tuner {

namespace detail {

inline constexpr std::array<std::pair<std::string_view, std::int64_t>, 9> kByteUnits{{{"TiB", std::int64_t{1} << 40},
                                                                                      {"TB", 1'000'000'000'000},
                                                                                      {"GiB", std::int64_t{1} << 30},
                                                                                      {"GB", 1'000'000'000},
                                                                                      {"MiB", std::int64_t{1} << 20},
                                                                                      {"MB", 1'000'000},
                                                                                      {"KiB", std::int64_t{1} << 10},
                                                                                      {"KB", 1'000},
                                                                                      {"B", 1}}};

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline bool same_letters(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

}  // namespace detail

/// Bytes of a number and its unit, which must be there: B, KB, MB, GB and TB are powers of 1000, KiB to TiB of 1024, in
/// letters of either case. "4GB", "3.5GiB" and "512 MB" are sizes. Nothing for anything else, and for less than a byte.
inline std::optional<std::int64_t> parse_byte_size(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with(' ')) text.remove_prefix(1);
  for (const auto& [unit, bytes] : detail::kByteUnits) {
    if (!detail::same_letters(text, unit)) continue;
    const double size = number * static_cast<double>(bytes);
    if (!(size >= 1 && size < static_cast<double>(std::numeric_limits<std::int64_t>::max()))) return std::nullopt;
    return static_cast<std::int64_t>(size);
  }
  return std::nullopt;
}

/// The shortest such text that is exactly this size, without a fraction: "4GB", "1536MiB", "12345B".
inline std::string byte_size_text(std::int64_t bytes) {
  std::string shortest = std::to_string(bytes) + "B";
  for (const auto& [unit, size] : detail::kByteUnits) {
    if (bytes == 0 || bytes % size != 0) continue;
    std::string text = std::to_string(bytes / size) + std::string(unit);
    if (text.size() < shortest.size()) shortest = std::move(text);
  }
  return shortest;
}

}  // namespace reward_tuner
