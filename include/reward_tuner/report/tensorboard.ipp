// Definitions of tensorboard.hpp.
#pragma once
#include <reward_tuner/report/tensorboard.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <system_error>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/folder.hpp>
#include <reward_tuner/report/png.hpp>

namespace reward_tuner {

namespace detail {

template <class Number>
std::string little_endian(Number value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(Number); ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFFU);
  return bytes;
}

REWARD_TUNER_INLINE std::string tfrecord(std::string_view payload) {
  const std::string length = little_endian(static_cast<std::uint64_t>(payload.size()));
  return length + little_endian(masked_crc32c(length)) + std::string(payload) + little_endian(masked_crc32c(payload));
}

REWARD_TUNER_INLINE std::string proto_varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  return bytes + static_cast<char>(value);
}

REWARD_TUNER_INLINE std::string proto_integer(unsigned field, std::int64_t value) {
  return proto_varint(field << 3) + proto_varint(static_cast<std::uint64_t>(value));
}

REWARD_TUNER_INLINE std::string proto_double(unsigned field, double value) {
  return proto_varint(field << 3 | 1U) + little_endian(std::bit_cast<std::uint64_t>(value));
}

REWARD_TUNER_INLINE std::string proto_bytes(unsigned field, std::string_view value) {
  return proto_varint(field << 3 | 2U) + proto_varint(value.size()) + std::string(value);
}

REWARD_TUNER_INLINE std::string proto_float(unsigned field, float value) {
  return proto_varint(field << 3 | 5U) + little_endian(std::bit_cast<std::uint32_t>(value));
}

}  // namespace detail

REWARD_TUNER_INLINE TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder,
                                                         const TensorBoardOptions& options) {
  std::error_code code;
  REWARD_TUNER_CHECK(!std::filesystem::exists(folder, code) || std::filesystem::is_directory(folder, code),
                     "[TensorBoardWriter] expected a folder at ", folder, ", got a file");
  make_folder(folder);
  // TensorBoard reads files in the order of their names, which start with the second; two writers in one second must
  // not tie.
  auto second = static_cast<std::int64_t>(std::time(nullptr));
  constexpr std::string_view kPrefix = "events.out.tfevents.";
  for (const std::string& name : names_in(folder))
    if (name.starts_with(kPrefix))
      second = std::max<std::int64_t>(second, std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10) + 1);
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') host = {'h', 'o', 's', 't'};
  std::string digits = std::to_string(second);
  digits.insert(0, digits.size() < 10 ? 10 - digits.size() : 0, '0');
  path_ = folder / (std::string(kPrefix) + digits + "." + host.data() + "." + std::to_string(::getpid()));
  file_ = detail::FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666));
  REWARD_TUNER_CHECK(file_.is_open(), "[TensorBoardWriter] expected to create ", path_,
                     ", got: ", std::generic_category().message(errno));
  record(0, detail::proto_bytes(3, "brain.Event:2"));
  if (options.resume_at.has_value())
    record(*options.resume_at, detail::proto_bytes(7, detail::proto_integer(1, kSessionStart)));
  flush();
}

REWARD_TUNER_INLINE void TensorBoardWriter::add_scalar(std::string_view tag, double value, std::int64_t step) {
  summary(tag, detail::proto_float(2, static_cast<float>(value)), step);
}

REWARD_TUNER_INLINE void TensorBoardWriter::add_image(std::string_view tag, const Tensor& image, std::int64_t step) {
  const std::string png = encode_png(image);
  const std::int64_t channels = image.dim() == 3 ? image.size(0) : 1;
  using detail::proto_integer;
  const std::string fields =
      proto_integer(1, image.size(-2)) + proto_integer(2, image.size(-1)) + proto_integer(3, channels);
  summary(tag, detail::proto_bytes(4, fields + detail::proto_bytes(4, png)), step);
}

REWARD_TUNER_INLINE void TensorBoardWriter::flush() {
  const int failed = detail::write_all(file_.get(), std::exchange(pending_, {}));
  REWARD_TUNER_CHECK(failed == 0, "[TensorBoardWriter] expected to write ", path_,
                     ", got: ", std::generic_category().message(failed));
}

REWARD_TUNER_INLINE TensorBoardWriter::~TensorBoardWriter() {
  if (file_.is_open()) detail::write_all(file_.get(), pending_);
}

REWARD_TUNER_INLINE void TensorBoardWriter::summary(std::string_view tag, const std::string& value, std::int64_t step) {
  REWARD_TUNER_CHECK(!tag.empty(), "[TensorBoardWriter] expected a tag, got an empty one");
  // Event.summary.value{tag, ...}
  record(step, detail::proto_bytes(5, detail::proto_bytes(1, detail::proto_bytes(1, tag) + value)));
}

REWARD_TUNER_INLINE void TensorBoardWriter::record(std::int64_t step, const std::string& what) {
  const double seconds = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  pending_ += detail::tfrecord(detail::proto_double(1, seconds) + detail::proto_integer(2, step) + what);
  if (pending_.size() > 1 << 16) flush();
}

}  // namespace reward_tuner
