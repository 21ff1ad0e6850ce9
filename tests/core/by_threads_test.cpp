// by_threads: every piece once, by several threads, and errors.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <thread>
#include <vector>

#include <reward_tuner/core/by_threads.hpp>

using namespace reward_tuner;

TEST_CASE("by_threads: every piece is done once, whatever the number of threads") {
  for (const std::size_t threads : {0, 1, 2, 3, 8}) {
    for (const std::size_t count : {0, 1, 5, 100}) {
      std::vector<std::atomic<int>> done(count);
      by_threads(count, threads, [&](std::size_t i) { ++done[i]; });
      for (const auto& times : done) CHECK(times == 1);
    }
  }
}

TEST_CASE("by_threads: as many threads as asked for work at the same time") {
  std::atomic<int> here{0}, together{0};
  by_threads(3, 3, [&](std::size_t) {
    ++here;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (here < 3 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    if (here == 3) ++together;
  });
  CHECK(together == 3);
}

TEST_CASE("by_threads: an error of any thread ends the work and is thrown again") {
  for (const std::size_t threads : {1, 4}) {
    std::atomic<int> done{0};
    CHECK_THROWS_WITH_AS(by_threads(10000, threads,
                                    [&](std::size_t i) {
                                      if (i == 7) throw std::runtime_error("the eighth");
                                      ++done;
                                    }),
                         "the eighth", std::runtime_error);
    if (threads == 1) CHECK(done == 7);  // elsewhere the others may be far ahead
  }
}
