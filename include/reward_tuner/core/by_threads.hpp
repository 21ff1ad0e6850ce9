// Independent pieces of work by several threads of our own, for what no LibTorch kernel does.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace reward_tuner {

/// Calls f(0) .. f(count - 1), each once, by at most `threads` threads, the caller's among them, and returns when all
/// have ended. The first error ends the work and is thrown again. at::parallel_for is no help here: in a unit that is
/// compiled without OpenMP it runs on one thread.
template <class F>
void by_threads(std::size_t count, std::size_t threads, F f) {
  std::atomic<std::size_t> next{0};
  std::mutex guard;
  std::exception_ptr problem;
  const auto work = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) f(i);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      if (!problem) problem = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(work);
    work();
  }
  if (problem) std::rethrow_exception(problem);
}

}  // namespace reward_tuner
