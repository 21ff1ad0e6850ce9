// The end of memory, as LibTorch really says it and as its device allocators do, is told from other errors.
#include <doctest/doctest.h>

#include <ATen/ops/empty.h>

#include <cstdint>
#include <new>
#include <stdexcept>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/out_of_memory.hpp>

TEST_CASE("an allocation that cannot be is out of memory; an error of a caller is not") {
  using reward_tuner::is_out_of_memory;
  const auto said_by = [](auto body) {
    try {
      body();
    } catch (const std::exception& problem) {
      return is_out_of_memory(problem) ? 1 : 0;
    }
    return -1;
  };
  CHECK(said_by([] { at::empty({std::int64_t{1} << 50}); }) == 1);  // a petabyte on the CPU
  CHECK(said_by([] { throw std::bad_alloc(); }) == 1);
  CHECK(said_by([] { C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory. Tried to allocate 2.00 GiB."); }) == 1);
  CHECK(said_by([] { TORCH_CHECK(false, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"); }) == 1);
  CHECK(said_by([] { at::empty({2}).add(at::empty({3})); }) == 0);
  CHECK(said_by([] { throw std::runtime_error("CUDA out of memory"); }) == 0);
  CHECK(said_by([] { reward_tuner::detail::fail("DefaultCPUAllocator: can't allocate memory"); }) == 0);
}
