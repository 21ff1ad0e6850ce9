// The header of a safetensors file, parsed and checked without LibTorch: any input yields a valid
// table or an Error.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>

namespace reward_tuner {

/// One tensor of a safetensors file. `begin` and `end` are byte offsets from the first byte after the header.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  ///< as in the file: "F32", "BF16", ...
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0, end = 0;
};

/// The checked header: entries in the order of their bytes, free of holes and overlaps, filling the file to its last
/// byte.
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
  std::uint64_t data_begin = 0;  ///< offset of the first tensor byte in the file

  static constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  ///< the limit of the reference implementation
  static constexpr std::size_t kMaxDimensions = 64;              ///< the limit of LibTorch's iterators

  /// Parses the whole file (usually memory-mapped); reads the header's bytes only. `where` names the file in errors.
  static SafetensorsHeader parse(std::string_view file, const std::string& where);
};

/// A dtype of the format. `rank` is its place in the reference implementation's order, which decides the order of
/// tensors in a file.
struct SafetensorsDtype {
  std::string_view name;
  int rank;
  std::uint64_t bytes;  ///< per element
};

/// The dtype called `name`, or nullptr. Dtypes below one byte (F4, F6) are known to the format but not to this list.
const SafetensorsDtype* find_safetensors_dtype(std::string_view name);

namespace detail {

/// A name from a file for an error message: quoted and cut, since a hostile name may be megabytes long.
std::string shortened(std::string_view name);

/// Events of the JSON parser -> entries. A state machine instead of a document, so that duplicate keys are seen and
/// depth is bounded.
class SafetensorsEvents {
 public:
  SafetensorsEvents(SafetensorsHeader& header, const std::string& where) : header_(header), where_(where) {}

  /// The reference implementation takes a null in place of the metadata for none.
  bool null() { return (state_ == State::kTop && key_ == "__metadata__") || unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(std::int64_t) { return unexpected("a negative number"); }
  bool number_float(double, const std::string&) { return unexpected("a number that is not an integer"); }
  bool binary(std::vector<std::uint8_t>&) { return unexpected("binary data"); }

  bool number_unsigned(std::uint64_t value);

  bool string(std::string& value);

  bool start_object(std::size_t);

  bool key(std::string& name);

  bool end_object();

  bool start_array(std::size_t);

  bool end_array();

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&);

 private:
  enum class State { kStart, kTop, kMetadata, kEntry, kShape, kOffsets, kEnd };
  std::string prefix() const { return "[Safetensors] " + where_ + ": "; }
  bool unexpected(const char* found) const;

  SafetensorsHeader& header_;
  const std::string& where_;
  State state_ = State::kStart;
  std::string key_;
  std::set<std::string> names_, fields_;
  SafetensorsEntry entry_;
  int offsets_ = 0;
};

/// Bytes that shape x dtype takes. The strides are checked for overflow too, hence dimensions of 0 count as 1 there.
std::uint64_t checked_bytes(const SafetensorsEntry& entry, const std::string& prefix);

}  // namespace detail

inline SafetensorsHeader SafetensorsHeader::parse(std::string_view file, const std::string& where) {
  const std::string prefix = "[Safetensors] " + where + ": ";
  REWARD_TUNER_CHECK(file.size() >= 8, prefix, "too short for a safetensors file: expected at least 8 bytes, got ",
                     file.size());
  std::uint64_t length = 0;
  // little-endian
  for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(file[static_cast<std::size_t>(i)]);
  REWARD_TUNER_CHECK(length <= kMaxHeaderBytes, prefix, "the header claims ", length, " bytes, expected at most ",
                     kMaxHeaderBytes, "; is this a safetensors file?");
  REWARD_TUNER_CHECK(length <= file.size() - 8, prefix, "the header claims ", length, " bytes, but only ",
                     file.size() - 8, " follow; is the file cut off?");
  const std::string_view text = file.substr(8, length);
  REWARD_TUNER_CHECK(!text.empty() && text.front() == '{', prefix, "the header must start with '{'");
  // The JSON parser takes a zero byte for the end of its input, which would hide what follows.
  REWARD_TUNER_CHECK(text.find('\0') == std::string_view::npos, prefix, "the header contains a zero byte");

  SafetensorsHeader header;
  header.data_begin = 8 + length;
  detail::SafetensorsEvents events(header, where);
  nlohmann::json::sax_parse(text.begin(), text.end(), &events);

  std::sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t next = 0;
  for (const auto& entry : header.entries) {
    REWARD_TUNER_CHECK(entry.begin == next && entry.end >= entry.begin, prefix, "tensor ",
                       detail::shortened(entry.name), " has the offsets [", entry.begin, ", ", entry.end,
                       "], expected them to start at ", next, " (no holes, no overlaps)");
    const std::uint64_t wanted = detail::checked_bytes(entry, prefix);
    REWARD_TUNER_CHECK(entry.end - entry.begin == wanted, prefix, "tensor ", detail::shortened(entry.name), " has ",
                       entry.end - entry.begin, " bytes, but its shape and dtype need ", wanted);
    next = entry.end;
  }
  REWARD_TUNER_CHECK(next == file.size() - header.data_begin, prefix, "the tensors take ", next,
                     " bytes, but the file holds ", file.size() - header.data_begin, " after the header");
  return header;
}

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/files/safetensors_header.ipp>
#endif
