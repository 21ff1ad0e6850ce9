// Which part of the work is whose, and what ranks tell each other.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/ranks/ranks.hpp>

#include <tests/reference/thread_ranks.hpp>

namespace {
using namespace reward_tuner;
using namespace reward_tuner::reference;
}  // namespace

TEST_CASE("a process alone has all of the work and sends nothing") {
  const Ranks alone;
  CHECK(alone.alone());
  CHECK(alone.first());
  CHECK(alone.size() == 1);
  CHECK(alone.own(7, 3) == std::pair<std::int64_t, std::int64_t>(0, 7));
  CHECK(alone.firsts(2.5) == 2.5);
  CHECK(alone.any(true));
  CHECK_FALSE(alone.any(false));
  Parcel parcel;
  parcel.add_integer(4);
  CHECK(alone.gather("it", parcel).at(0).integer() == 4);
  CHECK_THROWS_WITH_AS(Ranks(nullptr), "[Ranks] expected a link to the other ranks, got none", Error);
}

TEST_CASE("the parts of the ranks follow one another, in whole pieces, and differ by at most one") {
  for (int size = 1; size <= 5; ++size)
    for (std::int64_t count = 0; count <= 23; ++count)
      for (std::int64_t piece = 1; piece <= 6; ++piece) {
        std::vector<std::pair<std::int64_t, std::int64_t>> parts;
        for (int rank = 0; rank < size; ++rank)
          parts.push_back(Ranks(std::make_shared<ThreadLink>(nullptr, rank, size)).own(count, piece));
        std::int64_t next = 0, most = 0, least = count;
        for (const auto& [begin, end] : parts) {
          REQUIRE(begin == next);
          REQUIRE(begin <= end);
          REQUIRE((begin % piece == 0 || begin == count));
          REQUIRE((end % piece == 0 || end == count));
          const std::int64_t pieces = (end - begin + piece - 1) / piece;
          most = std::max(most, pieces), least = std::min(least, pieces);
          next = end;
        }
        REQUIRE(next == count);
        REQUIRE(most - least <= 1);
      }
}

TEST_CASE("ranks hear of each other in order, and notice one that does something else") {
  on_ranks(3, [](const Ranks& ranks) {
    Parcel own;
    for (int i = 0; i <= ranks.rank(); ++i) own.add_integer(10 * ranks.rank() + i);  // lengths differ
    auto all = ranks.gather("numbers", own);
    REQUIRE(all.size() == 3);
    for (int rank = 0; rank < 3; ++rank)
      for (int i = 0; i <= rank; ++i) REQUIRE(all[static_cast<std::size_t>(rank)].integer() == 10 * rank + i);
    REQUIRE(ranks.firsts(ranks.rank() + 0.5) == 0.5);
    REQUIRE(ranks.any(ranks.rank() == 2));
    REQUIRE_FALSE(ranks.any(false));
  });
  const auto apart = [](const Ranks& ranks) { ranks.gather(ranks.first() ? "rewards" : "options", Parcel()); };
  CHECK_THROWS_WITH_AS(on_ranks(2, apart), doctest::Contains("does something else than rank"), Error);
}
