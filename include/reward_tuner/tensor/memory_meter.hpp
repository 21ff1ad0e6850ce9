// Counts the bytes of live tensors during its lifetime, from LibTorch's own allocation reports.
#pragma once
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <atomic>
#include <cstdint>
#include <memory>

namespace reward_tuner {

/// Peak of the bytes allocated for tensors since construction, on top of what was alive before. Backward passes are
/// included; of nested meters only the innermost counts.
class MemoryMeter {
 public:
  MemoryMeter() : counter_(std::make_shared<Counter>()), guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

  /// Highest sum of live bytes so far.
  std::int64_t peak_bytes() const { return counter_->peak; }
  /// Bytes alive now.
  std::int64_t live_bytes() const { return counter_->live; }

 private:
  struct Counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) override {
      const std::int64_t now = live += size;
      std::int64_t before = peak;
      while (now > before && !peak.compare_exchange_weak(before, now)) {
      }
    }
    bool memoryProfilingEnabled() const override { return true; }
    std::atomic<std::int64_t> live = 0, peak = 0;
  };
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

}  // namespace reward_tuner
