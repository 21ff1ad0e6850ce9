// The digest of lines: published FNV-1a values, and lines that differ only in where they end.
#include <doctest/doctest.h>

#include <initializer_list>

#include <reward_tuner/core/text_digest.hpp>

TEST_CASE("text digest: FNV-1a of the lines") {
  using reward_tuner::TextDigest;
  const auto of = [](std::initializer_list<const char*> lines) {
    TextDigest digest;
    for (const char* line : lines) digest.add(line);
    return digest.text();
  };
  CHECK(of({}) == "cbf29ce484222325");
  CHECK(of({""}) == "af63c74c8601c8dd");  // of one byte, the newline: (offset xor 10) x prime
  CHECK(of({"ab", "c"}) != of({"a", "bc"}));
  CHECK(of({"ab", "c"}) == of({"ab", "c"}));
  CHECK(of({"\xC3\xBC"}) != of({"u"}));
}
