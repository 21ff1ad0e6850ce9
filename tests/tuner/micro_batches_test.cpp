// How a batch is cut.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tuner/micro_batches.hpp>

namespace micro_batches_test {

using namespace reward_tuner;
using Parts = std::vector<std::vector<std::int64_t>>;

TEST_CASE("a batch is cut in order, the rest comes last") {
  CHECK(micro_batches(5, 2) == Parts{{0, 1}, {2, 3}, {4}});
  CHECK(micro_batches(4, 0) == Parts{{0, 1, 2, 3}});
  CHECK(micro_batches(3, 9) == Parts{{0, 1, 2}});
}

TEST_CASE("groups stay whole, as many in a micro-batch as fit") {
  CHECK(whole_groups({0, 1, 0, 2, 1}, 2, "mine") == Parts{{0, 2}, {1, 4}, {3}});
  CHECK(whole_groups({0, 1, 0, 2, 1}, 3, "mine") == Parts{{0, 2}, {1, 4, 3}});
  CHECK(whole_groups({0, 1, 0, 2, 1}, 0, "mine") == Parts{{0, 1, 2, 3, 4}});
  CHECK(whole_groups({0, 1, 0, 2, 1}, 5, "mine") == Parts{{0, 1, 2, 3, 4}});
  CHECK_THROWS_WITH_AS(whole_groups({0, 1, 0, 2, 0}, 2, "mine"),
                       "[RewardTuner] engine.micro_batch would cut a group of the reward mine: expected 0 or at least "
                       "3, the images of one prompt, got 2",
                       Error);
}

TEST_CASE("whatever the groups, every sample is in one micro-batch and every group in one") {
  std::mt19937 random(4);
  for (int draw = 0; draw < 300; ++draw) {
    std::vector<std::int64_t> groups(1 + random() % 20), sizes(6);
    for (auto& group : groups) ++sizes[static_cast<std::size_t>(group = static_cast<std::int64_t>(random() % 6))];
    const std::int64_t size = *std::ranges::max_element(sizes) + static_cast<std::int64_t>(random() % 4);
    std::vector<std::int64_t> all;
    std::set<std::int64_t> done;
    for (const auto& part : whole_groups(groups, size, "mine")) {
      REQUIRE(static_cast<std::int64_t>(part.size()) <= size);
      std::set<std::int64_t> here;
      for (const std::int64_t i : part) here.insert(groups[static_cast<std::size_t>(i)]);
      for (const std::int64_t group : here) REQUIRE(done.insert(group).second);
      all.insert(all.end(), part.begin(), part.end());
    }
    std::ranges::sort(all);
    REQUIRE(all.size() == groups.size());
    for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == static_cast<std::int64_t>(i));
  }
}

}  // namespace micro_batches_test
