// How the end of memory looks as an exception.
#pragma once
#include <c10/util/Exception.h>

#include <exception>
#include <new>
#include <string_view>

namespace reward_tuner {

/// Whether an exception says that memory ran out: std::bad_alloc, LibTorch's OutOfMemoryError, and the errors that its
/// CPU allocator and the libraries of CUDA throw instead, which only their sentences tell.
inline bool is_out_of_memory(const std::exception& problem) {
  if (dynamic_cast<const std::bad_alloc*>(&problem) || dynamic_cast<const c10::OutOfMemoryError*>(&problem))
    return true;
  if (!dynamic_cast<const c10::Error*>(&problem)) return false;
  const std::string_view text = problem.what();
  for (const std::string_view sentence :
       {"DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory", "CUDA out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"})
    if (text.find(sentence) != std::string_view::npos) return true;
  return false;
}

}  // namespace reward_tuner
