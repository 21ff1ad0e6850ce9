// CUDA graphs behind layers/graph_recorder.hpp.
#include <reward_tuner/layers/graph_recorder.hpp>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

namespace reward_tuner::cuda {
namespace {

/// Memory of what graphs write in between. One for all: each answer is copied right after its replay, so that no graph
/// reads what another one wrote, and they may write to the same places.
c10::MempoolId_t pool() {
  static const c10::MempoolId_t id = at::cuda::graph_pool_handle();
  return id;
}

/// What is on `later` from now on waits for what is on `earlier`.
void order(const c10::cuda::CUDAStream& earlier, const c10::cuda::CUDAStream& later) {
  c10::Event event(c10::DeviceType::CUDA);
  event.record(earlier.unwrap());
  event.block(later.unwrap());
}

class Graph final : public Recording {
 public:
  Graph(c10::Device device, const std::function<void()>& work) : device_(device) {
    const c10::cuda::CUDAGuard guard(device_);
    const auto outer = c10::cuda::getCurrentCUDAStream();
    const auto side = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, outer.device_index());
    order(outer, side);
    {
      const c10::cuda::CUDAStreamGuard on(side);  // the default stream cannot be captured
      work();                                     // libraries allocate for a new stream at its first call
      side.synchronize();
      c10::cuda::CUDACachingAllocator::emptyCache();  // nothing else needs the memory of this stream
      // other threads may go on: a server of ranks, one that reads files
      graph_.capture_begin(pool(), cudaStreamCaptureModeThreadLocal);
      try {
        work();
      } catch (...) {
        abandon(outer.device_index());
        throw;
      }
      try {
        graph_.capture_end();
      } catch (...) {
        abandon(outer.device_index());
        throw;
      }
    }
    order(side, outer);
  }

  void replay() override {
    const c10::cuda::CUDAGuard guard(device_);
    graph_.replay();
  }

 private:
  /// Ends a capture that failed: new memory comes from the ordinary pool again, and no error is left for later calls.
  void abandon(c10::DeviceIndex index) {
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {  // it was ended, or is invalid
    }
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(index, pool());
    } catch (const c10::Error&) {  // it was ended with the capture
    }
    static_cast<void>(cudaGetLastError());
  }

  c10::Device device_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

std::unique_ptr<Recording> record_graph(c10::Device device, const std::function<void()>& work) {
  return std::make_unique<Graph>(device, work);
}

}  // namespace reward_tuner::cuda
