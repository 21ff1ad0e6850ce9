// ASCII letters in lower case.
#include <doctest/doctest.h>

#include <reward_tuner/core/lower_ascii.hpp>

TEST_CASE("lower_ascii changes A to Z and nothing else") {
  using reward_tuner::lower_ascii;
  CHECK(lower_ascii("@AZ[`az{ .PNG") == "@az[`az{ .png");
  CHECK(lower_ascii("\xC3\x84 \xDE").compare("\xC3\x84 \xDE") == 0);
  CHECK(lower_ascii("").empty());
}
