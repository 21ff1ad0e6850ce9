// Memory that runs out: the n-th allocation of a tensor on the CPU fails, as that of a device does that is full.
#pragma once
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace reward_tuner::reference {

/// While one lives, allocations of at least `smallest` bytes are counted, and the one numbered `fails` (from 1) throws
/// c10::OutOfMemoryError. One at a time.
class FailingAllocator {
 public:
  explicit FailingAllocator(std::int64_t fails, std::size_t smallest = 1) {
    Stand& stand = installed();
    stand.count = 0;
    stand.smallest = smallest;
    stand.fails = fails;
    stand.active = true;
  }
  ~FailingAllocator() { installed().active = false; }
  FailingAllocator(const FailingAllocator&) = delete;
  FailingAllocator& operator=(const FailingAllocator&) = delete;

  std::int64_t count() const { return installed().count; }

 private:
  /// Stands before LibTorch's own allocator for the rest of the process.
  struct Stand : c10::Allocator {
    c10::Allocator* own = c10::GetCPUAllocator();
    std::atomic<bool> active = false;
    std::atomic<std::int64_t> count = 0, fails = 0;
    std::atomic<std::size_t> smallest = 1;

    c10::DataPtr allocate(std::size_t bytes) override {
      if (active && bytes >= smallest && ++count == fails)
        C10_THROW_ERROR(OutOfMemoryError, "the test's memory is full");
      return own->allocate(bytes);
    }
    c10::DeleterFnPtr raw_deleter() const override { return own->raw_deleter(); }
    void copy_data(void* to, const void* from, std::size_t bytes) const override { own->copy_data(to, from, bytes); }
  };
  static Stand& installed() {
    static Stand& stand = []() -> Stand& {
      static Stand made;
      c10::SetCPUAllocator(&made, 255);
      return made;
    }();
    return stand;
  }
};

}  // namespace reward_tuner::reference
