// CUDA kernels of layers/fused_kernels.hpp; what their threads do is in fused_threads.hpp.
#include <src/fused_threads.hpp>

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdint>

namespace reward_tuner::cuda {
namespace {

using fused::kThreads;
using fused::Moments;

constexpr int kWarp = 32;

/// The moments of the warp's numbers, in its first lane.
__device__ Moments joined_of_warp(Moments own) {
  for (int shift = kWarp / 2; shift > 0; shift /= 2)
    own = fused::joined(
        own, {__shfl_down_sync(0xffffffffu, own.count, shift), __shfl_down_sync(0xffffffffu, own.mean, shift),
              __shfl_down_sync(0xffffffffu, own.squares, shift)});
  return own;
}

/// The moments of the block's numbers, the same in every thread.
__device__ Moments joined_of_block(Moments own) {
  __shared__ Moments warps[kThreads / kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  own = joined_of_warp(own);
  if (lane == 0) warps[warp] = own;
  __syncthreads();
  if (warp == 0) {
    own = joined_of_warp(lane < kThreads / kWarp ? warps[lane] : Moments{0, 0, 0});
    if (lane == 0) warps[0] = own;
  }
  __syncthreads();
  return warps[0];
}

template <class Work>
__global__ void __launch_bounds__(kThreads) group_norm_silu_kernel(Work work) {
  work.write(blockIdx.x, threadIdx.x, joined_of_block(work.moments(blockIdx.x, threadIdx.x)));
}

template <class Work, class Index>
__global__ void __launch_bounds__(kThreads) geglu_kernel(Work work, Index threads) {
  work.write(static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x, threads);
}

}  // namespace

at::Tensor group_norm_silu(const GroupNormSilu& call) {
  const c10::cuda::CUDAGuard guard(call.x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  return fused::group_norm_silu(call, [&](const auto& work, std::int64_t blocks) {
    group_norm_silu_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(work);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

at::Tensor geglu(const at::Tensor& x) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  return fused::geglu(x, [&](const auto& work, std::int64_t blocks) {
    geglu_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(
        work, static_cast<decltype(work.count)>(blocks * kThreads));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

}  // namespace reward_tuner::cuda
