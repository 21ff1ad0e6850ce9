// safetensors: round trips of every dtype, the byte layout of the reference implementation, and files made to break a
// reader.
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors.hpp>

using namespace reward_tuner;

namespace safetensors_test {
namespace {

struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("reward_tuner_safetensors_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

std::string file_of(const std::string& header, std::size_t data_bytes, std::int64_t claimed = -1) {
  const std::uint64_t length = claimed < 0 ? header.size() : static_cast<std::uint64_t>(claimed);
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data_bytes, '\1');
}

std::string error_of(const std::string& bytes) {
  try {
    SafetensorsHeader::parse(bytes, "x");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::string nested(const std::string& open, std::size_t depth) {
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += open;
  return text;
}

}  // namespace

TEST_CASE("safetensors: a tensor is read into other memory, and a file that became shorter is a named error") {
  const Folder folder;
  const auto path = folder.path / "a.safetensors";
  const Tensor x = at::rand({1000}), y = at::arange(3);
  save_safetensors(path, {{"x", x}, {"y", y}});
  const auto file = SafetensorsFile::open(path);
  Tensor into = at::zeros({1000});
  file.read("x", into.data_ptr());
  CHECK(into.equal(x));
  Tensor few = at::zeros({3}, at::kLong);
  file.read("y", few.data_ptr());
  CHECK(few.equal(y));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 100);
  CHECK_THROWS_WITH_AS(file.read("x", into.data_ptr()),
                       doctest::Contains("expected 4000 bytes of tensor 'x', got 3900: the file changed"), Error);
  CHECK_THROWS_WITH_AS(file.read("z", into.data_ptr()), doctest::Contains("has no tensor 'z'"), Error);
}

TEST_CASE("safetensors: every dtype, layout and size comes back as it was") {
  const Folder folder;
  const auto path = folder.path / "a.safetensors";
  std::map<std::string, Tensor> saved;
  for (const auto& [name, type] : reward_tuner::detail::kSafetensorsTypes)
    saved[std::string(name)] = (at::rand({3, 5}) * 4).to(type);
  saved["transposed"] = at::rand({4, 6}).t();
  saved["scalar"] = at::full({}, 2.5);
  saved["empty"] = at::empty({3, 0, 2}, at::kHalf);
  saved["name \"with\" \\ and \xC3\xA9\n"] = at::arange(3);
  saved[""] = at::ones({1});
  save_safetensors(path, saved, {{"format", "pt"}, {"note", "caf\xC3\xA9 \"1\""}});
  const auto file = SafetensorsFile::open(path);
  CHECK(file.names().size() == saved.size());
  CHECK(file.metadata().at("note") == "caf\xC3\xA9 \"1\"");
  for (const auto& entry : saved) {
    const auto& name = entry.first;
    const Tensor& want = entry.second;
    CAPTURE(name);
    const Tensor got = file.tensor(name);
    REQUIRE((got.scalar_type() == want.scalar_type()));
    REQUIRE(got.sizes() == want.sizes());
    CHECK(file.shape(name) == want.sizes().vec());
    const Tensor a = got.contiguous(), b = want.contiguous();
    CHECK((want.numel() == 0 || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), b.nbytes()) == 0));
  }
  CHECK_THROWS_WITH_AS(file.tensor("nobody"), doctest::Contains("has no tensor 'nobody'"), Error);
}

TEST_CASE("safetensors: the bytes are those of the reference implementation") {
  const Folder folder;
  const auto path = folder.path / "b.safetensors";
  save_safetensors(path, {{"b", at::ones({2}, at::kByte)},
                          {"a", at::zeros({1, 2}, at::kFloat)},
                          {"h", at::zeros({1}, at::kHalf)},
                          {"l", at::zeros({1}, at::kLong)}});
  const std::string bytes = read_bytes(path);
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"l":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},)"
      R"("h":{"dtype":"F16","shape":[1],"data_offsets":[16,18]},"b":{"dtype":"U8","shape":[2],"data_offsets":[18,20]}})";
  const std::size_t padded = (header.size() + 7) / 8 * 8;
  REQUIRE(bytes.size() == 8 + padded + 20);
  CHECK(bytes.substr(8, header.size()) == header);
  CHECK(bytes.substr(8 + header.size(), padded - header.size()) == std::string(padded - header.size(), ' '));
  CHECK(static_cast<unsigned char>(bytes[0]) + 256 * static_cast<unsigned char>(bytes[1]) == static_cast<int>(padded));
  CHECK(bytes.substr(bytes.size() - 2) == "\1\1");
}

TEST_CASE("safetensors: no tensors and no metadata make a valid file") {
  const Folder folder;
  save_safetensors(folder.path / "none.safetensors", {}, {});
  CHECK(SafetensorsFile::open(folder.path / "none.safetensors").names().empty());
}

TEST_CASE("safetensors: a null in place of the metadata is none") {
  for (const char* text : {R"({"__metadata__":null})", R"({"__metadata__":null,"__metadata__2":{"dtype":"F32",)"
                                                       R"("shape":[0],"data_offsets":[0,0]}})"}) {
    const std::string header = text;
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    CHECK(SafetensorsHeader::parse(file + header, "x").metadata.empty());
  }
}

TEST_CASE("safetensors: tensors outlive the file object, survive its replacement, and writes do not reach the disk") {
  const Folder folder;
  const auto path = folder.path / "c.safetensors";
  save_safetensors(path, {{"x", at::ones({1000})}});
  Tensor kept = SafetensorsFile::open(path).tensor("x");
  save_safetensors(path, {{"x", at::zeros({1000})}});
  CHECK(kept.equal(at::ones({1000})));
  kept.add_(1);
  CHECK(kept.equal(at::ones({1000}) + 1));
  CHECK(SafetensorsFile::open(path).tensor("x").equal(at::zeros({1000})));
}

TEST_CASE("safetensors: a file can be rewritten from its own views") {
  const Folder folder;
  const auto path = folder.path / "self.safetensors";
  const Tensor x = at::rand({100});
  save_safetensors(path, {{"x", x}});
  save_safetensors(path, {{"y", SafetensorsFile::open(path).tensor("x")}});
  CHECK(SafetensorsFile::open(path).tensor("y").equal(x));
}

TEST_CASE("safetensors: misaligned tensors are copied, odd booleans become true") {
  const Folder folder;
  const auto path = folder.path / "d.safetensors";
  std::string bytes = file_of(
      R"({"b":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},"f":{"dtype":"F64","shape":[1],"data_offsets":[3,11]}})",
      0);
  const double value = 1.25;
  bytes += std::string("\0\2\1", 3) + std::string(reinterpret_cast<const char*>(&value), 8);
  std::ofstream(path, std::ios::binary) << bytes;
  const auto file = SafetensorsFile::open(path);
  const Tensor f = file.tensor("f");
  CHECK(reinterpret_cast<std::uintptr_t>(f.const_data_ptr()) % 8 == 0);
  CHECK(f.item<double>() == 1.25);
  const Tensor b = file.tensor("b");
  CHECK(static_cast<const unsigned char*>(b.const_data_ptr())[1] == 1);
  CHECK(b.sum().item<std::int64_t>() == 2);
}

TEST_CASE("safetensors: what cannot be written is a named error and leaves the old file") {
  const Folder folder;
  const auto path = folder.path / "e.safetensors";
  save_safetensors(path, {{"x", at::ones({2})}});
  const std::string before = read_bytes(path);
  CHECK_THROWS_WITH_AS(save_safetensors(path, {{"x", Tensor()}}), doctest::Contains("undefined"), Error);
  CHECK_THROWS_WITH_AS(save_safetensors(path, {{"x", at::ones({2}, at::kComplexDouble)}}),
                       doctest::Contains("ComplexDouble"), Error);
  CHECK_THROWS_WITH_AS(save_safetensors(path, {{"x", at::ones({2, 2}).to_sparse()}}), doctest::Contains("not strided"),
                       Error);
  CHECK_THROWS_WITH_AS(save_safetensors(path, {{"__metadata__", at::ones({2})}}), doctest::Contains("__metadata__"),
                       Error);
  CHECK_THROWS_WITH_AS(save_safetensors(path, {{"\xFF", at::ones({2})}}), doctest::Contains("UTF-8"), Error);
  CHECK_THROWS_WITH_AS(save_safetensors(path, {{"x", at::ones({2})}}, {{"k", "\xC3"}}), doctest::Contains("UTF-8"),
                       Error);
  CHECK(read_bytes(path) == before);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("safetensors: opening what is not a safetensors file") {
  const Folder folder;
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(folder.path / "absent"), doctest::Contains("could not open"), Error);
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(folder.path), doctest::Contains("regular file"), Error);
  std::ofstream(folder.path / "zero").close();
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(folder.path / "zero"), doctest::Contains("at least 8 bytes, got 0"),
                       Error);
}

TEST_CASE("safetensors: hostile headers are named errors") {
  struct Case {
    std::string header;
    std::size_t data;
    const char* message;
  };
  const auto entry = [](const std::string& fields) { return R"({"a":{)" + fields + "}}"; };
  const std::string f32 = R"("dtype":"F32",)";
  const std::vector<Case> cases = {
      {"", 0, "must start with '{'"},
      {" {}", 0, "must start with '{'"},
      {"[]", 0, "must start with '{'"},
      {"{", 0, "not valid JSON"},
      {"{}}", 0, "not valid JSON"},
      {"{}x", 0, "not valid JSON"},
      {"{} {}", 0, "not valid JSON"},
      {std::string("{}\0 ", 4), 0, "zero byte"},
      {"{\"\xFF\":1}", 0, "not valid JSON"},
      {"{}", 1, "take 0 bytes, but the file holds 1"},
      {R"({"a":null})", 0, "got null"},
      {R"({"a":1})", 0, "got a number"},
      {R"({"a":[]})", 0, "got an array"},
      {R"({"a":{}})", 0, "must have dtype, shape and data_offsets, got 0"},
      {entry(f32 + R"("shape":[1])"), 4, "got 2 of them"},
      {entry(f32 + R"("shape":[1],"data_offsets":[0,4],"extra":1)"), 4, "unknown key 'extra'"},
      {entry(f32 + R"("shape":[1],"shape":[1],"data_offsets":[0,4])"), 4, "'shape' twice"},
      {R"({"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}})",
       8, "'a' appears twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "'__metadata__' appears twice"},
      {R"({"__metadata__":{"k":"1","k":"2"}})", 0, "twice in __metadata__"},
      {R"({"__metadata__":{"k":1}})", 0, "must hold strings only, got a number"},
      {R"({"__metadata__":{"k":null}})", 0, "must hold strings only, got null"},
      {R"({"__metadata__":{"k":{}}})", 0, "must hold strings only, got an object"},
      {R"({"__metadata__":"text"})", 0, "got a string"},
      {R"({"__metadata__":null,"__metadata__":{}})", 0, "'__metadata__' appears twice"},
      {entry(R"("dtype":"F31","shape":[1],"data_offsets":[0,4])"), 4, "unknown dtype 'F31'"},
      {entry(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])"), 4, "unknown dtype 'f32'"},
      {entry(R"("dtype":"F4","shape":[2],"data_offsets":[0,1])"), 1, "smaller than a byte"},
      {entry(R"("dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3])"), 3, "smaller than a byte"},
      {entry(R"("dtype":3,"shape":[1],"data_offsets":[0,4])"), 4, "has a number in 'dtype'"},
      {entry(f32 + R"("shape":1,"data_offsets":[0,4])"), 4, "has a number in 'shape'"},
      {entry(f32 + R"("shape":[-1],"data_offsets":[0,4])"), 4, "a negative number in 'shape'"},
      {entry(f32 + R"("shape":[1.0],"data_offsets":[0,4])"), 4, "not an integer in 'shape'"},
      {entry(f32 + R"("shape":[1e0],"data_offsets":[0,4])"), 4, "not an integer in 'shape'"},
      {entry(f32 + R"("shape":["1"],"data_offsets":[0,4])"), 4, "a string in 'shape'"},
      {entry(f32 + R"("shape":[[1]],"data_offsets":[0,4])"), 4, "an array in 'shape'"},
      {entry(f32 + R"("shape":[true],"data_offsets":[0,4])"), 4, "a boolean in 'shape'"},
      {entry(f32 + R"("shape":[18446744073709551615],"data_offsets":[0,4])"), 4, "too large"},
      {entry(f32 + R"("shape":[18446744073709551616],"data_offsets":[0,4])"), 4, "not an integer in 'shape'"},
      {entry(f32 + R"("shape":[4611686018427387904,4],"data_offsets":[0,0])"), 0, "overflows 64 bits"},
      {entry(f32 + R"("shape":[4294967296,4294967296],"data_offsets":[0,0])"), 0, "overflows 64 bits"},
      {entry(f32 + R"("shape":[2305843009213693952],"data_offsets":[0,0])"), 0, "overflows 64 bits"},
      {entry(f32 + R"("shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0])"), 0,
       "overflows 64 bits"},
      {entry(f32 + "\"shape\":[" + nested("1,", 64) + "1],\"data_offsets\":[0,4]"), 4, "more than 64 dimensions"},
      {entry(f32 + R"("shape":[1],"data_offsets":[0])"), 4, "two numbers, got 1"},
      {entry(f32 + R"("shape":[1],"data_offsets":[])"), 4, "two numbers, got 0"},
      {entry(f32 + R"("shape":[1],"data_offsets":[0,4,8])"), 4, "two numbers, got more"},
      {entry(f32 + R"("shape":[1],"data_offsets":[4,8])"), 8, "expected them to start at 0"},
      {entry(f32 + R"("shape":[1],"data_offsets":[4,0])"), 4, "expected them to start at 0"},
      {entry(f32 + R"("shape":[1],"data_offsets":[0,8])"), 8, "has 8 bytes, but its shape and dtype need 4"},
      {entry(f32 + R"("shape":[2],"data_offsets":[0,4])"), 4, "has 4 bytes, but its shape and dtype need 8"},
      {entry(f32 + R"("shape":[1],"data_offsets":[0,4])"), 3, "take 4 bytes, but the file holds 3"},
      {entry(f32 + R"("shape":[1],"data_offsets":[0,4])"), 5, "take 4 bytes, but the file holds 5"},
      {entry(f32 + R"("shape":[1],"data_offsets":[18446744073709551612,18446744073709551615])"), 4,
       "expected them to start at 0"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
       6, "expected them to start at 4"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       4, "expected them to start at 4"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}})",
       9, "expected them to start at 4"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
       4, "expected them to start at 4"},
      {"{\"a\":" + nested("[", 100000), 0, "got an array"},
      {nested("{\"a\":", 100000), 0, "expected"},
      {"{\"" + std::string(1 << 20, 'n') + "\":1}", 0, "nnn...'"},
  };
  for (const auto& item : cases) {
    CAPTURE(item.header.substr(0, 200));
    const std::string error = error_of(file_of(item.header, item.data));
    CHECK(error.find(item.message) != std::string::npos);
    CHECK(error.rfind("[Safetensors] x: ", 0) == 0);
    CHECK(error.size() < 500);
    if (error.find(item.message) == std::string::npos) MESSAGE("got: ", error);
  }
}

TEST_CASE("safetensors: a header length that lies is an error without a large allocation") {
  CHECK(error_of(file_of("{}", 0, 3)).find("only 2 follow") != std::string::npos);
  CHECK(error_of(file_of("{}", 0, 100'000'000)).find("only 2 follow") != std::string::npos);
  CHECK(error_of(file_of("{}", 0, 100'000'001)).find("at most 100000000") != std::string::npos);
  CHECK(error_of(file_of("{}", 0, INT64_MAX)).find("at most") != std::string::npos);
  CHECK(error_of(std::string(8, '\xFF')).find("at most") != std::string::npos);
  CHECK(error_of(std::string(7, '\0')).find("at least 8") != std::string::npos);
}

TEST_CASE("safetensors: spaces after the header and any order of keys are fine") {
  const std::string header =
      R"({"b":{"data_offsets":[4,6],"shape":[2],"dtype":"U8"},"a":{"shape":[],"dtype":"F32","data_offsets":[0,4]},"e":{"dtype":"I64","shape":[0],"data_offsets":[4,4]}}      )";
  const auto parsed = SafetensorsHeader::parse(file_of(header, 6), "x");
  REQUIRE(parsed.entries.size() == 3);
  CHECK(parsed.entries[0].name == "a");
  CHECK(parsed.entries[1].name == "e");
  CHECK(parsed.entries[2].name == "b");
  CHECK(parsed.data_begin == 8 + header.size());
}

TEST_CASE("safetensors: every truncation fails, every bit flip is an error or a sound table") {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"F16","shape":[3],"data_offsets":[24,30]}} )";
  const std::string good = file_of(header, 30);
  REQUIRE(error_of(good).empty());
  for (std::size_t length = 0; length < good.size(); ++length) REQUIRE_FALSE(error_of(good.substr(0, length)).empty());
  const auto sound = [](const std::string& bytes) {
    try {
      const auto parsed = SafetensorsHeader::parse(bytes, "x");
      std::uint64_t next = 0;
      for (const auto& entry : parsed.entries) {
        if (entry.begin != next || entry.end < entry.begin) return false;
        next = entry.end;
      }
      return parsed.data_begin + next == bytes.size();
    } catch (const Error&) {
      return true;
    }
  };
  for (std::size_t bit = 0; bit < (8 + header.size()) * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    REQUIRE(sound(bad));
  }
  std::mt19937 draw(1);
  for (int trial = 0; trial < 20000; ++trial) {
    std::string bad = good;
    for (unsigned k = 0, n = 1 + draw() % 6; k < n; ++k) bad[draw() % bad.size()] = static_cast<char>(draw());
    REQUIRE(sound(bad));
  }
}

}  // namespace safetensors_test
