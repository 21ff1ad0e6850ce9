#include <doctest/doctest.h>

#include <reward_tuner/core/fill_in.hpp>

TEST_CASE("fill_in puts the value at every place, and never into the value") {
  using reward_tuner::fill_in;
  CHECK(fill_in("{}", "{}", "a dog") == "a dog");
  CHECK(fill_in("{prompt}? Is it {prompt}?{prompt}", "{prompt}", "a cat") == "a cat? Is it a cat?a cat");
  CHECK(fill_in("a photo of {}, {}", "{}", "{}{}") == "a photo of {}{}, {}{}");
  CHECK(fill_in("<{prompt}>", "{prompt}", "say {prompt}") == "<say {prompt}>");
  CHECK(fill_in("{{}}", "{}", "") == "{}");
  CHECK(fill_in("{prompt", "{prompt}", "a") == "{prompt");
  CHECK(fill_in("", "{}", "a").empty());
}
