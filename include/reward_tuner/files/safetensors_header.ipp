// Definitions of safetensors_header.hpp.
#pragma once
#include <reward_tuner/files/safetensors_header.hpp>

#include <array>
#include <limits>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE const SafetensorsDtype* find_safetensors_dtype(std::string_view name) {
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

REWARD_TUNER_INLINE std::string shortened(std::string_view name) {
  constexpr std::size_t kShown = 120;
  return name.size() <= kShown ? "'" + std::string(name) + "'" : "'" + std::string(name.substr(0, kShown)) + "...'";
}

REWARD_TUNER_INLINE bool SafetensorsEvents::number_unsigned(std::uint64_t value) {
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

REWARD_TUNER_INLINE bool SafetensorsEvents::string(std::string& value) {
  if (state_ == State::kMetadata) {
    header_.metadata[key_] = std::move(value);
  } else if (state_ == State::kEntry && key_ == "dtype") {
    entry_.dtype = std::move(value);
  } else {
    unexpected("a string");
  }
  return true;
}

REWARD_TUNER_INLINE bool SafetensorsEvents::start_object(std::size_t) {
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

REWARD_TUNER_INLINE bool SafetensorsEvents::key(std::string& name) {
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

REWARD_TUNER_INLINE bool SafetensorsEvents::end_object() {
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

REWARD_TUNER_INLINE bool SafetensorsEvents::start_array(std::size_t) {
  if (state_ != State::kEntry || (key_ != "shape" && key_ != "data_offsets")) return unexpected("an array");
  state_ = key_ == "shape" ? State::kShape : State::kOffsets;
  offsets_ = 0;
  return true;
}

REWARD_TUNER_INLINE bool SafetensorsEvents::end_array() {
  REWARD_TUNER_CHECK(state_ == State::kShape || offsets_ == 2, prefix(), "data_offsets of tensor ",
                     shortened(entry_.name), " must be two numbers, got ", offsets_);
  state_ = State::kEntry;
  return true;
}

REWARD_TUNER_INLINE bool SafetensorsEvents::parse_error(std::size_t position, const std::string&,
                                                        const nlohmann::detail::exception&) {
  fail(prefix(), "the header is not valid JSON near its byte ", position);
}

REWARD_TUNER_INLINE bool SafetensorsEvents::unexpected(const char* found) const {
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

REWARD_TUNER_INLINE std::uint64_t checked_bytes(const SafetensorsEntry& entry, const std::string& prefix) {
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

}  // namespace reward_tuner
