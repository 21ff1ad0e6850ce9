// TensorBoard event files without TensorFlow: TFRecord framing with masked CRC-32C and the few protocol-buffer fields
// that are needed.
#pragma once
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/png.hpp>

namespace reward_tuner {

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78); crc32c("123456789") is 0xE3069283.
constexpr std::uint32_t crc32c(std::string_view bytes) {
  constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      std::uint32_t value = byte;
      for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? 0x82F63B78U : 0U);
      table[byte] = value;
    }
    return table;
  }();
  std::uint32_t value = 0xFFFFFFFFU;
  for (const char byte : bytes) value = kTable[(value ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ (value >> 8);
  return ~value;
}
static_assert(crc32c("123456789") == 0xE3069283U);

namespace detail {

template <class Number>
std::string little_endian(Number value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(Number); ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFFU);
  return bytes;
}

/// TFRecord's mask: a CRC stored beside data that may itself be a CRC is rotated and shifted by a constant.
constexpr std::uint32_t masked_crc32c(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

/// One record: u64 length, its masked CRC, the payload, its masked CRC; all little-endian.
inline std::string tfrecord(std::string_view payload) {
  const std::string length = little_endian(static_cast<std::uint64_t>(payload.size()));
  return length + little_endian(masked_crc32c(length)) + std::string(payload) + little_endian(masked_crc32c(payload));
}

// Protocol-buffer fields; the low three bits of a key are the wire type: 0 varint, 1 eight bytes, 2 length-delimited, 5
// four bytes.
inline std::string proto_varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  return bytes + static_cast<char>(value);
}
inline std::string proto_integer(unsigned field, std::int64_t value) {
  return proto_varint(field << 3) + proto_varint(static_cast<std::uint64_t>(value));
}
inline std::string proto_double(unsigned field, double value) {
  return proto_varint(field << 3 | 1U) + little_endian(std::bit_cast<std::uint64_t>(value));
}
inline std::string proto_bytes(unsigned field, std::string_view value) {
  return proto_varint(field << 3 | 2U) + proto_varint(value.size()) + std::string(value);
}
inline std::string proto_float(unsigned field, float value) {
  return proto_varint(field << 3 | 5U) + little_endian(std::bit_cast<std::uint32_t>(value));
}

}  // namespace detail

struct TensorBoardOptions {
  /// first step of this run: TensorBoard forgets what older files say of it and later steps
  std::optional<std::int64_t> resume_at = std::nullopt;
};

/// Writes an event file into `folder` (made if missing). Every writer opens a file of its own, whose name sorts after
/// those already there, so a resumed run adds to the older ones. Records are `Event{1 wall_time, 2 step, 3
/// file_version, 5 summary, 7 session_log}`.
/// Example: TensorBoardWriter board("runs/mine"); board.add_scalar("reward", 0.4, 10); board.flush();
class TensorBoardWriter {
 public:
  /// Errors: a folder that cannot be made or written to.
  explicit TensorBoardWriter(const std::filesystem::path& folder, const TensorBoardOptions& options = {}) {
    std::error_code problem;
    std::filesystem::create_directories(folder, problem);
    REWARD_TUNER_CHECK(std::filesystem::is_directory(folder), "[TensorBoardWriter] expected a folder at ", folder,
                       ", got ", problem.message());
    // TensorBoard reads files in the order of their names, which start with the second; two writers in one second must
    // not tie.
    auto second = static_cast<std::int64_t>(std::time(nullptr));
    constexpr std::string_view kPrefix = "events.out.tfevents.";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(kPrefix))
        second = std::max<std::int64_t>(second, std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10) + 1);
    }
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') host = {'h', 'o', 's', 't'};
    std::string digits = std::to_string(second);
    digits.insert(0, digits.size() < 10 ? 10 - digits.size() : 0, '0');
    path_ = folder / (std::string(kPrefix) + digits + "." + host.data() + "." + std::to_string(::getpid()));
    file_.open(path_, std::ios::binary | std::ios::trunc);
    REWARD_TUNER_CHECK(file_.is_open(), "[TensorBoardWriter] expected to create ", path_,
                       ", got that it cannot be opened (read-only folder?)");
    record(0, detail::proto_bytes(3, "brain.Event:2"));
    if (options.resume_at.has_value())
      record(*options.resume_at, detail::proto_bytes(7, detail::proto_integer(1, kSessionStart)));
    flush();
  }

  /// One number of the curve `tag` at `step`; NaN and infinities are written as they are. Errors: empty tag, failed
  /// write.
  void add_scalar(std::string_view tag, double value, std::int64_t step) {
    summary(tag, detail::proto_float(2, static_cast<float>(value)), step);
  }

  /// One image [3,H,W] in [0,1] (see encode_png) of `tag` at `step`. Errors: those of encode_png, empty tag, failed
  /// write.
  void add_image(std::string_view tag, const Tensor& image, std::int64_t step) {
    const std::string png = encode_png(image);
    const std::int64_t channels = image.dim() == 3 ? image.size(0) : 1;
    using detail::proto_integer;
    const std::string fields =
        proto_integer(1, image.size(-2)) + proto_integer(2, image.size(-1)) + proto_integer(3, channels);
    summary(tag, detail::proto_bytes(4, fields + detail::proto_bytes(4, png)), step);
  }

  /// Hands everything to the operating system, so that a running TensorBoard sees it. Errors: full disk.
  void flush() {
    file_.flush();
    REWARD_TUNER_CHECK(file_.good(), "[TensorBoardWriter] expected to write ", path_,
                       ", got a write error (disk full?)");
  }

  /// The event file of this writer.
  const std::filesystem::path& path() const { return path_; }

 private:
  static constexpr std::int64_t kSessionStart = 1;  // SessionLog.START

  void summary(std::string_view tag, const std::string& value, std::int64_t step) {
    REWARD_TUNER_CHECK(!tag.empty(), "[TensorBoardWriter] expected a tag, got an empty one");
    // Event.summary.value{tag, ...}
    record(step, detail::proto_bytes(5, detail::proto_bytes(1, detail::proto_bytes(1, tag) + value)));
  }

  void record(std::int64_t step, const std::string& what) {
    const double seconds = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    file_ << detail::tfrecord(detail::proto_double(1, seconds) + detail::proto_integer(2, step) + what);
    REWARD_TUNER_CHECK(file_.good(), "[TensorBoardWriter] expected to write ", path_,
                       ", got a write error (disk full?)");
  }

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace reward_tuner
