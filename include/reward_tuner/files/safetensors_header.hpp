// The header of a safetensors file, parsed and checked without LibTorch: whatever the bytes are, the result is a sound
// table or an Error.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
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
inline const SafetensorsDtype* find_safetensors_dtype(std::string_view name) {
  static constexpr std::array<SafetensorsDtype, 19> kDtypes{{{"BOOL", 0, 1},
                                                             {"U8", 1, 1},
                                                             {"I8", 2, 1},
                                                             {"F8_E5M2", 3, 1},
                                                             {"F8_E4M3", 4, 1},
                                                             {"F8_E8M0", 5, 1},
                                                             {"F8_E4M3FNUZ", 6, 1},
                                                             {"F8_E5M2FNUZ", 7, 1},
                                                             {"I16", 8, 2},
                                                             {"U16", 9, 2},
                                                             {"F16", 10, 2},
                                                             {"BF16", 11, 2},
                                                             {"I32", 12, 4},
                                                             {"U32", 13, 4},
                                                             {"F32", 14, 4},
                                                             {"C64", 15, 8},
                                                             {"F64", 16, 8},
                                                             {"I64", 17, 8},
                                                             {"U64", 18, 8}}};
  const auto* found =
      std::find_if(kDtypes.begin(), kDtypes.end(), [name](const SafetensorsDtype& d) { return d.name == name; });
  return found == kDtypes.end() ? nullptr : found;
}

namespace detail {

/// A name from a file for an error message: quoted and cut, since a hostile name may be megabytes long.
inline std::string shortened(std::string_view name) {
  constexpr std::size_t kShown = 120;
  return name.size() <= kShown ? "'" + std::string(name) + "'" : "'" + std::string(name.substr(0, kShown)) + "...'";
}

/// Events of the JSON parser -> entries. A state machine instead of a document, so that duplicate keys are seen and
/// depth is bounded.
class SafetensorsEvents {
 public:
  SafetensorsEvents(SafetensorsHeader& header, const std::string& where) : header_(header), where_(where) {}

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(std::int64_t) { return unexpected("a negative number"); }
  bool number_float(double, const std::string&) { return unexpected("a number that is not an integer"); }
  bool binary(std::vector<std::uint8_t>&) { return unexpected("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (state_ == State::kShape) {
      REWARD_TUNER_CHECK(value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()), prefix(),
                         "a dimension of tensor ", shortened(entry_.name), " is too large: ", value);
      REWARD_TUNER_CHECK(entry_.shape.size() < SafetensorsHeader::kMaxDimensions, prefix(), "tensor ",
                         shortened(entry_.name), " has more than ", SafetensorsHeader::kMaxDimensions, " dimensions");
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (state_ == State::kOffsets) {
      REWARD_TUNER_CHECK(offsets_ < 2, prefix(), "data_offsets of tensor ", shortened(entry_.name),
                         " must be two numbers, got more");
      (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
    } else {
      unexpected("a number");
    }
    return true;
  }

  bool string(std::string& value) {
    if (state_ == State::kMetadata) {
      header_.metadata[key_] = std::move(value);
    } else if (state_ == State::kEntry && key_ == "dtype") {
      entry_.dtype = std::move(value);
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (state_ == State::kStart) {
      state_ = State::kTop;
    } else if (state_ == State::kTop && key_ == "__metadata__") {
      state_ = State::kMetadata;
    } else if (state_ == State::kTop) {
      state_ = State::kEntry;
      entry_ = SafetensorsEntry{};
      entry_.name = key_;
      fields_.clear();
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& name) {
    key_ = std::move(name);
    if (state_ == State::kTop) {
      REWARD_TUNER_CHECK(names_.insert(key_).second, prefix(), "the name ", shortened(key_), " appears twice");
    } else if (state_ == State::kMetadata) {
      REWARD_TUNER_CHECK(header_.metadata.emplace(key_, "").second, prefix(), "the key ", shortened(key_),
                         " appears twice in __metadata__");
    } else {
      REWARD_TUNER_CHECK(key_ == "dtype" || key_ == "shape" || key_ == "data_offsets", prefix(), "tensor ",
                         shortened(entry_.name), " has the unknown key ", shortened(key_),
                         "; expected dtype, shape and data_offsets");
      REWARD_TUNER_CHECK(fields_.insert(key_).second, prefix(), "tensor ", shortened(entry_.name), " has the key ",
                         shortened(key_), " twice");
    }
    return true;
  }

  bool end_object() {
    if (state_ == State::kEntry) {
      REWARD_TUNER_CHECK(fields_.size() == 3, prefix(), "tensor ", shortened(entry_.name),
                         " must have dtype, shape and data_offsets, got ", fields_.size(), " of them");
      header_.entries.push_back(std::move(entry_));
      state_ = State::kTop;
    } else {
      state_ = state_ == State::kMetadata ? State::kTop : State::kEnd;
    }
    return true;
  }

  bool start_array(std::size_t) {
    if (state_ != State::kEntry || (key_ != "shape" && key_ != "data_offsets")) return unexpected("an array");
    state_ = key_ == "shape" ? State::kShape : State::kOffsets;
    offsets_ = 0;
    return true;
  }

  bool end_array() {
    REWARD_TUNER_CHECK(state_ == State::kShape || offsets_ == 2, prefix(), "data_offsets of tensor ",
                       shortened(entry_.name), " must be two numbers, got ", offsets_);
    state_ = State::kEntry;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    fail(prefix(), "the header is not valid JSON near its byte ", position);
  }

 private:
  enum class State { kStart, kTop, kMetadata, kEntry, kShape, kOffsets, kEnd };
  std::string prefix() const { return "[Safetensors] " + where_ + ": "; }
  bool unexpected(const char* found) const {
    switch (state_) {
      case State::kMetadata:
        fail(prefix(), "__metadata__ must hold strings only, got ", found, " under ", shortened(key_));
      case State::kTop:
        fail(prefix(), "expected an object under ", shortened(key_), ", got ", found);
      case State::kStart:
      case State::kEnd:
        fail(prefix(), "the header must be one object, got ", found);
      default:
        fail(prefix(), "tensor ", shortened(entry_.name), " has ", found, " in ", shortened(key_),
             "; expected a string as dtype and non-negative integers in shape and data_offsets");
    }
  }

  SafetensorsHeader& header_;
  const std::string& where_;
  State state_ = State::kStart;
  std::string key_;
  std::set<std::string> names_, fields_;
  SafetensorsEntry entry_;
  int offsets_ = 0;
};

/// Bytes that shape x dtype takes. The strides are checked for overflow too, hence dimensions of 0 count as 1 there.
inline std::uint64_t checked_bytes(const SafetensorsEntry& entry, const std::string& prefix) {
  const SafetensorsDtype* dtype = find_safetensors_dtype(entry.dtype);
  const bool sub_byte = entry.dtype == "F4" || entry.dtype.rfind("F6_", 0) == 0;
  REWARD_TUNER_CHECK(!sub_byte, prefix, "tensor ", shortened(entry.name), " has the dtype ", entry.dtype,
                     ", whose elements are smaller than a byte; not supported");
  REWARD_TUNER_CHECK(dtype != nullptr, prefix, "tensor ", shortened(entry.name), " has the unknown dtype ",
                     shortened(entry.dtype));
  std::uint64_t extent = dtype->bytes;
  bool empty = false;
  for (const auto dimension : entry.shape) {
    const auto size = static_cast<std::uint64_t>(dimension);
    empty = empty || size == 0;
    REWARD_TUNER_CHECK(
        size <= 1 || extent <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / size, prefix,
        "the shape of tensor ", shortened(entry.name), " overflows 64 bits");
    extent *= std::max<std::uint64_t>(size, 1);
  }
  return empty ? 0 : extent;
}

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
