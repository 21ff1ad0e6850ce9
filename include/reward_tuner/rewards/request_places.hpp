// The requests that may be under way at once, shared by calls that overlap.
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

namespace reward_tuner {

/// `count` places, one for each request. They go to the oldest call that waits for one: were they dealt out among all,
/// the time of every call would run while it waits for the others. Any number of threads may ask at once.
class RequestPlaces {
 public:
  /// One call and the time that it may take, counted from its first place on.
  class Call {
   public:
    /// Seconds; all of them before the first place.
    double left() const { return end_ ? std::chrono::duration<double>(*end_ - Clock::now()).count() : seconds_; }

   private:
    friend class RequestPlaces;
    using Clock = std::chrono::steady_clock;
    Call(double seconds, std::uint64_t number) : seconds_(seconds), number_(number) {}
    void start() {
      if (!end_) end_ = Clock::now() + std::chrono::duration<double>(seconds_);
    }
    double seconds_;
    std::uint64_t number_;  // of calls before it
    // in double: a clock's own numbers end after 292 years. Written under the mutex, before any place of the call.
    std::optional<std::chrono::time_point<Clock, std::chrono::duration<double>>> end_;
  };

  /// One request's place, until it is destroyed.
  class Place {
   public:
    explicit Place(RequestPlaces& of) : of_(of) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { of_.give_back(); }

   private:
    RequestPlaces& of_;
  };

  /// count >= 1.
  explicit RequestPlaces(int count) : free_(count) {}

  /// A call that is younger than all before; its requests must not take longer than `seconds` together.
  Call call(double seconds) {
    const std::lock_guard lock(mutex_);
    return {seconds, calls_++};
  }

  /// Waits for a place, the first of a call without a limit. None: the call's time is over.
  std::optional<Place> take(Call& call) {
    constexpr double kLongest = 3600;  // at a time: clocks count in integers
    std::unique_lock lock(mutex_);
    const auto waiting = waiting_.insert(call.number_);
    while (call.left() > 0 && (free_ == 0 || *waiting_.begin() != call.number_))
      if (call.end_) changed_.wait_for(lock, std::chrono::duration<double>(std::min(call.left(), kLongest)));
      else changed_.wait(lock);
    waiting_.erase(waiting);
    const bool in_time = call.left() > 0;
    if (in_time) {
      --free_;
      call.start();
    }
    changed_.notify_all();  // another is the oldest now, and the call's other requests have a limit
    return in_time ? std::optional<Place>(std::in_place, *this) : std::nullopt;
  }

 private:
  void give_back() {
    const std::lock_guard lock(mutex_);
    ++free_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;
  std::uint64_t calls_ = 0;
  std::multiset<std::uint64_t> waiting_;  // numbers of calls, one for each request
};

}  // namespace reward_tuner
