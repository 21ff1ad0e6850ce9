// CRC-32C vectors, TFRecord framing and the bytes of events. tests/tools/check_tensorboard.py reads such files with
// TensorBoard itself.
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <torch/types.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/report/tensorboard.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;
using namespace std::string_literals;

namespace {
namespace tensorboard_test {

template <class Number>
Number number_at(const std::string& bytes, std::size_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// The payloads of a file; checks both checksums of each record.
std::vector<std::string> records(const std::string& bytes) {
  std::vector<std::string> found;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = number_at<std::uint64_t>(bytes, at);
    REQUIRE(at + 16 + length <= bytes.size());
    CHECK(number_at<std::uint32_t>(bytes, at + 8) == reward_tuner::detail::masked_crc32c(bytes.substr(at, 8)));
    found.push_back(bytes.substr(at + 12, length));
    CHECK(number_at<std::uint32_t>(bytes, at + 12 + length) == reward_tuner::detail::masked_crc32c(found.back()));
    at += 16 + length;
  }
  return found;
}

}  // namespace tensorboard_test
}  // namespace

TEST_CASE("tensorboard: CRC-32C of the vectors of RFC 3720 B.4") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xE3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43U);
  std::string rising;
  for (char byte = 0; byte < 32; ++byte) rising += byte;
  CHECK(crc32c(rising) == 0x46DD794EU);
}

TEST_CASE("tensorboard: framing and protocol-buffer fields are the documented bytes") {
  CHECK(reward_tuner::detail::proto_varint(300) == "\xAC\x02"s);
  CHECK(reward_tuner::detail::proto_integer(2, -1) == "\x10\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"s);
  CHECK(reward_tuner::detail::proto_bytes(2, "testing") == "\x12\x07testing"s);
  CHECK(reward_tuner::detail::proto_float(2, 1.0F) == "\x15\x00\x00\x80\x3F"s);
  CHECK(reward_tuner::detail::proto_double(1, 1.0) == "\x09\x00\x00\x00\x00\x00\x00\xF0\x3F"s);
  const std::string record = reward_tuner::detail::tfrecord("abc");
  CHECK(record.size() == 8 + 4 + 3 + 4);
  CHECK(record.substr(0, 8) == "\x03\x00\x00\x00\x00\x00\x00\x00"s);
  CHECK(record.substr(12, 3) == "abc");
  const std::uint32_t crc = crc32c("abc");
  CHECK(tensorboard_test::number_at<std::uint32_t>(record, 15) ==
        static_cast<std::uint32_t>(((crc >> 15) | (crc << 17)) + 0xA282EAD8U));
}

TEST_CASE("tensorboard: a file starts with its version and holds the events in order") {
  const io_test::Folder folder;
  TensorBoardWriter board(folder / "new" / "deep");
  board.add_scalar("train/reward", 0.5, 300);
  board.add_image("images", at::zeros({3, 4, 6}), 301);
  board.flush();
  const auto events = tensorboard_test::records(io_test::read_text(board.path()));
  REQUIRE(events.size() == 3);
  CHECK(events[0].substr(9) ==
        "\x10\x00\x1A\x0D"
        "brain.Event:2"s);
  CHECK(events[1][0] == '\x09');  // wall time
  CHECK(tensorboard_test::number_at<double>(events[1], 1) > 1.7e9);
  CHECK(events[1].substr(9) ==
        "\x10\xAC\x02\x2A\x15\x0A\x13\x0A\x0C"
        "train/reward"
        "\x15\x00\x00\x00\x3F"s);
  // height 4, width 6, three channels, bytes
  CHECK(events[2].find("\x08\x04\x10\x06\x18\x03\x22"s) != std::string::npos);
  CHECK(events[2].find(encode_png(at::zeros({3, 4, 6}))) != std::string::npos);
}

TEST_CASE("tensorboard: a resumed run opens a file of its own that sorts last and starts a session") {
  const io_test::Folder folder;
  std::set<std::string> names;
  std::string last;
  for (int run = 0; run < 3; ++run) {
    const TensorBoardWriter board(folder.path, {.resume_at = run == 0 ? std::nullopt : std::optional<std::int64_t>(5)});
    const std::string name = board.path().filename().string();
    CHECK(name > last);
    last = name;
    names.insert(name);
    const auto events = tensorboard_test::records(io_test::read_text(board.path()));
    REQUIRE(events.size() == (run == 0 ? 1 : 2));
    if (run > 0) CHECK(events[1].substr(9) == "\x10\x05\x3A\x02\x08\x01"s);
  }
  CHECK(names.size() == 3);
}

TEST_CASE("tensorboard: errors are named") {
  const io_test::Folder folder;
  io_test::write_text(folder / "file", "x");
  CHECK_THROWS_WITH_AS(TensorBoardWriter(folder / "file"), doctest::Contains("expected a folder"), Error);
  CHECK_THROWS_AS(TensorBoardWriter(folder / "file" / "below"), Error);
  TensorBoardWriter board(folder.path);
  CHECK_THROWS_AS(board.add_scalar("", 1, 1), Error);
  CHECK_THROWS_AS(board.add_image("a", at::zeros({2, 4, 4}), 1), Error);
  if (folder.make_read_only()) CHECK_THROWS_AS(TensorBoardWriter{folder.path}, Error);
}
