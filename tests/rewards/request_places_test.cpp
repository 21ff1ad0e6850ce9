// Places for requests: how many are under way, who is next, and from when on a call's time counts.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <reward_tuner/rewards/request_places.hpp>

namespace request_places_test {
namespace {

using namespace reward_tuner;
using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

/// Takes a place in a thread of its own, and gives it back at once: whether it got one.
std::future<bool> take(RequestPlaces& places, RequestPlaces::Call& call) {
  return std::async(std::launch::async, [&] { return places.take(call).has_value(); });
}

bool waits(const std::future<bool>& taken, Seconds time = 50ms) {
  return taken.wait_for(time) == std::future_status::timeout;
}

}  // namespace

TEST_CASE("request places: the first place of a call is waited for without a limit, which starts its time") {
  for (const double seconds : {0.02, 600.0, 1e10, 1e300}) {  // the last ones overflow a clock's integers
    CAPTURE(seconds);
    RequestPlaces places(1);
    RequestPlaces::Call first = places.call(600), second = places.call(seconds);
    auto held = places.take(first);
    CHECK(held.has_value());
    auto taken = take(places, second);
    CHECK(waits(taken));
    CHECK(second.left() == seconds);
    held.reset();
    CHECK(taken.get());
    std::this_thread::sleep_for(1ms);
    if (seconds < 1e5) CHECK(second.left() < seconds);
  }
}

TEST_CASE("request places: further places of a call are waited for until its time is over") {
  RequestPlaces places(1);
  RequestPlaces::Call call = places.call(0.1);
  const auto held = places.take(call);
  const auto begin = std::chrono::steady_clock::now();
  CHECK_FALSE(places.take(call).has_value());
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
  CHECK(call.left() <= 0);
  CHECK_FALSE(places.take(call).has_value());
}

TEST_CASE("request places: a request that began to wait before its call's first place is limited from then on") {
  RequestPlaces places(1);
  RequestPlaces::Call other = places.call(600), call = places.call(0.1);
  auto busy = places.take(other);
  const auto hold = [&] {
    const auto place = places.take(call);
    std::this_thread::sleep_for(1s);
    return place.has_value();
  };
  auto one = std::async(std::launch::async, hold), two = std::async(std::launch::async, hold);
  std::this_thread::sleep_for(50ms);
  busy.reset();
  CHECK(one.get() != two.get());
}

TEST_CASE("request places: the oldest call is next, so that calls end one after the other") {
  RequestPlaces places(1);
  RequestPlaces::Call busy = places.call(600);
  std::vector<RequestPlaces::Call> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(places.call(600));
  auto held = places.take(busy);
  std::mutex mutex;
  std::string order;
  std::vector<std::jthread> threads;
  for (const int i : {2, 1, 0, 2, 1, 0})  // the youngest waits first
    threads.emplace_back([&, i] {
      const auto place = places.take(calls[static_cast<std::size_t>(i)]);
      const std::lock_guard lock(mutex);
      order += static_cast<char>('0' + i);
    });
  std::this_thread::sleep_for(100ms);
  held.reset();
  threads.clear();
  CHECK(order == "001122");
}

TEST_CASE("request places: no more are under way than there are, and none is lost") {
  RequestPlaces places(3);
  std::atomic<int> now = 0, most = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 24; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) {
        RequestPlaces::Call call = places.call(600);
        const auto place = places.take(call);
        const int running = ++now;
        for (int seen = most; seen < running && !most.compare_exchange_weak(seen, running);) {
        }
        if (k % 50 == 0) std::this_thread::sleep_for(1ms);
        --now;
      }
    });
  threads.clear();
  CHECK(most == 3);
}

}  // namespace request_places_test
