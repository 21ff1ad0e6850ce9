// TensorBoard event files without TensorFlow: TFRecord framing with masked CRC-32C and the few protocol-buffer fields
// that are needed.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/tensor/tensor.hpp>

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

/// TFRecord's mask: a CRC stored next to data that may itself be a CRC is rotated and shifted by a constant.
constexpr std::uint32_t masked_crc32c(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

/// One record: u64 length, its masked CRC, the payload, its masked CRC; all little-endian.
std::string tfrecord(std::string_view payload);

// Protocol-buffer fields; the low three bits of a key are the wire type: 0 varint, 1 eight bytes, 2 length-delimited, 5
// four bytes.
std::string proto_varint(std::uint64_t value);
std::string proto_integer(unsigned field, std::int64_t value);
std::string proto_double(unsigned field, double value);
std::string proto_bytes(unsigned field, std::string_view value);
std::string proto_float(unsigned field, float value);

}  // namespace detail

/// How a TensorBoardWriter joins the files that are there already.
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
  explicit TensorBoardWriter(const std::filesystem::path& folder, const TensorBoardOptions& options = {});
  TensorBoardWriter(TensorBoardWriter&&) = default;
  TensorBoardWriter& operator=(TensorBoardWriter&&) = delete;
  /// Writes what is pending, if it can.
  ~TensorBoardWriter();

  /// One number of the curve `tag` at `step`; NaN and infinities are written as they are. Errors: empty tag, failed
  /// write.
  void add_scalar(std::string_view tag, double value, std::int64_t step);

  /// One image [3,H,W] in [0,1] (see encode_png) of `tag` at `step`. Errors: those of encode_png, empty tag, failed
  /// write.
  void add_image(std::string_view tag, const Tensor& image, std::int64_t step);

  /// Hands everything to the operating system, so that a running TensorBoard sees it. Errors: full disk.
  void flush();

  /// The event file of this writer.
  const std::filesystem::path& path() const { return path_; }

 private:
  static constexpr std::int64_t kSessionStart = 1;  // SessionLog.START

  void summary(std::string_view tag, const std::string& value, std::int64_t step);

  void record(std::int64_t step, const std::string& what);

  std::filesystem::path path_;
  detail::FileDescriptor file_;
  std::string pending_;  // what is not written yet
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/report/tensorboard.ipp>
#endif
