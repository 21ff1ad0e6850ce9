// What every benchmark program does before it measures, and how it reads the clocks.
#pragma once
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <chrono>
#include <climits>
#include <ctime>

namespace bench {

/// The settings that programs over this library should have (docs/benchmarks.md): freed memory stays with the process,
/// denormals are flushed.
inline void prepare_process(int threads) {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
  at::globalContext().setFlushDenormal(true);
  at::set_num_threads(threads);
}

/// Wall and process CPU seconds since construction.
class Clock {
 public:
  Clock() : wall_(std::chrono::steady_clock::now()), cpu_(cpu_now()) {}
  double wall() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_).count(); }
  double cpu() const { return cpu_now() - cpu_; }

 private:
  static double cpu_now() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  }
  std::chrono::steady_clock::time_point wall_;
  double cpu_;
};

}  // namespace bench
