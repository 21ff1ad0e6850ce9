// Random orders in constant memory: bijections that differ between seeds and streams and look random.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/permutation.hpp>

namespace {

std::vector<std::uint64_t> whole(std::uint64_t size, std::uint64_t seed, std::uint64_t stream) {
  const reward_tuner::Permutation order(size, seed, stream);
  std::vector<std::uint64_t> out;
  for (std::uint64_t i = 0; i < size; ++i) out.push_back(order(i));
  return out;
}

}  // namespace

TEST_CASE("a permutation takes every number once, for every size to 2000") {
  for (std::uint64_t size = 1; size <= 2000; ++size) {
    std::vector<std::uint64_t> order = whole(size, 7, size % 3);
    std::sort(order.begin(), order.end());
    bool each = true;
    for (std::uint64_t i = 0; i < size; ++i) each = each && order[i] == i;
    CHECK_MESSAGE(each, "size ", size);
  }
}

TEST_CASE("a permutation is fixed by its numbers and changes with each of them") {
  CHECK(whole(500, 3, 0) == whole(500, 3, 0));
  std::vector<std::vector<std::uint64_t>> orders;
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    for (std::uint64_t stream = 0; stream < 12; ++stream) orders.push_back(whole(60, seed, stream));
  std::sort(orders.begin(), orders.end());
  CHECK(std::adjacent_find(orders.begin(), orders.end()) == orders.end());
}

TEST_CASE("permutations look random: all orders of three and four come, and numbers go to all places alike") {
  std::map<std::vector<std::uint64_t>, int> three, four;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    ++three[whole(3, 1, seed)];
    ++four[whole(4, seed, 5)];
  }
  CHECK(three.size() == 6);
  CHECK(four.size() == 24);
  for (const auto& [order, count] : three) CHECK(std::abs(count - 1000) < 150);  // five deviations
  for (const auto& [order, count] : four) CHECK(std::abs(count - 250) < 80);
  constexpr int kSize = 10, kRuns = 4000;
  std::array<std::array<int, kSize>, kSize> places{};
  for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
    const auto order = whole(kSize, 11, seed);
    for (std::size_t i = 0; i < kSize; ++i) ++places[i][order[i]];
  }
  double chi = 0;
  for (const auto& row : places)
    for (const int count : row) chi += (count - kRuns / 10.0) * (count - kRuns / 10.0) / (kRuns / 10.0);
  CHECK(chi < 150);  // 81 degrees of freedom: mean 81, deviation 12.7
  const auto large = whole(4096, 1, 1);
  double correlation = 0;
  for (std::size_t i = 0; i < large.size(); ++i)
    correlation += (static_cast<double>(i) - 2047.5) * (static_cast<double>(large[i]) - 2047.5);
  CHECK(std::abs(correlation / (4096.0 * 4096 * 4096 / 12)) < 0.08);  // five deviations of 1/64
}

TEST_CASE("permutations of huge sizes answer, and wrong sizes and places are errors") {
  using namespace reward_tuner;
  const Permutation huge(1ULL << 62, 1);
  CHECK(huge(0) != huge(1));
  CHECK(huge((1ULL << 62) - 1) < huge.size());
  CHECK(Permutation(1, 9, 9)(0) == 0);
  CHECK_THROWS_WITH_AS(Permutation(0, 1), doctest::Contains("a size in 1..2^62, got 0"), Error);
  CHECK_THROWS_AS(Permutation((1ULL << 62) + 1, 1), Error);
  CHECK_THROWS_WITH_AS(Permutation(5, 1)(5), doctest::Contains("an index in 0..4, got 5"), Error);
}
