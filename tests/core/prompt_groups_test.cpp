// Groups of a round by prompt.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/prompt_groups.hpp>

TEST_CASE("equal prompts form one group wherever they stand, numbered by first appearance") {
  using namespace reward_tuner;
  CHECK(prompt_groups({"b", "a", "b", "c", "a", "b"}) == std::vector<std::int64_t>{0, 1, 0, 2, 1, 0});
  CHECK(prompt_groups({"a", "a ", "A"}) == std::vector<std::int64_t>{0, 1, 2});  // a letter more is another prompt
  CHECK(prompt_groups({}).empty());
}
