// The bytes of a file, or an error that names it.
#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/file_bytes.hpp>

#include <tests/reference/test_folder.hpp>

namespace file_bytes_test {

using reward_tuner::Error;
using reward_tuner::read_bytes;

TEST_CASE("all bytes of a file, its first ones, or an error with the reason") {
  const io_test::Folder folder;
  for (const std::size_t size : {0U, 1U, 8191U, 262144U, 262145U, 1000003U}) {
    std::string wanted(size, '\0');
    for (std::size_t i = 0; i < size; ++i) wanted[i] = static_cast<char>(i * i % 251);
    std::ofstream(folder / "file", std::ios::binary) << wanted;
    CHECK(read_bytes(folder / "file") == wanted);
    for (const std::size_t most : {0U, 1U, 8U, 262144U, 300000U, 2000000U})
      CHECK(read_bytes(folder / "file", most) == wanted.substr(0, most));
  }
  CHECK_THROWS_WITH_AS(read_bytes(folder / "none"), doctest::Contains("/none': No such file or directory"), Error);
  CHECK_THROWS_WITH_AS(read_bytes(folder.path), doctest::Contains("': Is a directory"), Error);
}

}  // namespace file_bytes_test
