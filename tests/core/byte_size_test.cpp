// Sizes as people write them.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include <reward_tuner/core/byte_size.hpp>

TEST_CASE("sizes: a number and its unit, in any letters") {
  using reward_tuner::parse_byte_size;
  CHECK(parse_byte_size("4GB") == 4'000'000'000);
  CHECK(parse_byte_size("4 gib") == std::int64_t{4} << 30);
  CHECK(parse_byte_size("3.5GiB") == (std::int64_t{7} << 29));
  CHECK(parse_byte_size("0.5kB") == 500);
  CHECK(parse_byte_size("512MiB") == std::int64_t{512} << 20);
  CHECK(parse_byte_size("1B") == 1);
  CHECK(parse_byte_size("2TB") == 2'000'000'000'000);
  for (const char* wrong : {"", "GB", "4", "4G", "4GBs", "-4GB", "+4GB", "0GB", "0.4B", "1e3MB", "nanGB", "infGB",
                            "4  GB", "4GB ", "9999999999TB", "four GB"}) {
    INFO(wrong);
    CHECK_FALSE(parse_byte_size(wrong));
  }
}

TEST_CASE("sizes: the text of a size is read back as it is, and equal sizes have one text") {
  using namespace reward_tuner;
  CHECK(byte_size_text(4'000'000'000) == "4GB");
  CHECK(byte_size_text(std::int64_t{3} << 29) == "1536MiB");
  CHECK(byte_size_text(0) == "0B");
  for (const std::int64_t bytes : {std::int64_t{1}, std::int64_t{999}, std::int64_t{1000}, std::int64_t{1024},
                                   std::int64_t{12345}, std::int64_t{2'500'000}, std::int64_t{1} << 40})
    CHECK(parse_byte_size(byte_size_text(bytes)) == bytes);
  CHECK(byte_size_text(parse_byte_size("4000MB").value()) == byte_size_text(parse_byte_size("4GB").value()));
}
