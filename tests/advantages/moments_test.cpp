// Means and variances.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include <reward_tuner/advantages/moments.hpp>

TEST_CASE("moments of a few numbers, by hand") {
  using namespace reward_tuner::detail;
  const Moments m = moments({4, 1, 7, 4});  // mean 4, squares 9 + 9
  CHECK(m.mean == 4);
  CHECK(m.variance == 4.5L);
  CHECK(m.deviation() == std::sqrt(4.5L));
  CHECK(moments({4, 1, 7, 4}, true).variance == 6);
  CHECK((moments({3}).mean == 3 && moments({3}).variance == 0));
  CHECK((moments({3}, true).mean == 3 && moments({3}, true).variance == 0));
  CHECK((moments({}).mean == 0 && moments({}).variance == 0));
}

TEST_CASE("moments hold beside a large common offset, and equal numbers have exactly no variance") {
  using namespace reward_tuner::detail;
  const Moments m = moments({1e9 + 1, 1e9 + 2, 1e9 + 3});
  CHECK(m.mean == 1e9L + 2);
  CHECK(std::abs(static_cast<double>(m.variance) - 2.0 / 3) < 1e-12);
  for (const double r : {0.1, -1.0 / 3, 1e-310, 1e308})
    for (const std::size_t n : {2, 3, 10, 1000}) {
      CHECK(moments(std::vector<double>(n, r)).mean == r);
      CHECK(moments(std::vector<double>(n, r), true).variance == 0);
    }
}

TEST_CASE("the size of a round is its rewards' root mean square") {
  using namespace reward_tuner::detail;
  CHECK(size_of({3, -4, 5}) == std::sqrt(50.0L / 3));
  CHECK((size_of({}) == 0 && size_of({0, 0}) == 0));
  CHECK(std::isfinite(size_of({1e300, 1e308})));
  const auto even = standardize({0, 0}, [](std::size_t) { return Moments{}; }, [](const Moments&) { return 0.0L; }, 0);
  CHECK(even == std::vector<double>{0, 0});  // nothing to divide by, and nothing to divide
}

TEST_CASE("rewards_by keeps the images' order within a key") {
  using namespace reward_tuner::detail;
  const auto by = rewards_by(std::vector<int>{5, 2, 5, 2, 5}, {1, 2, 3, 4, 0});
  CHECK(by.size() == 2);
  CHECK(by.at(5) == std::vector<double>{1, 3, 0});
  CHECK(by.at(2) == std::vector<double>{2, 4});
}
