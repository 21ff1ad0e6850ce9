// Kernels of one kind of device that do the work of several operators in one pass, for calls without gradient.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>

#include <cstdint>

namespace reward_tuner {

/// The arguments of silu(group_norm(x)).
struct GroupNormSilu {
  const at::Tensor& x;             ///< [B,C,...], contiguous or channels last
  std::int64_t groups;             ///< a divisor of C
  const at::Tensor &weight, bias;  ///< [C], of x's type
  double eps;                      ///< added to the variance
};

/// A device's kernels; nullptr: it has none, and the operators are used.
struct FusedKernels {
  c10::DeviceType device = c10::DeviceType::CUDA;
  at::Tensor (*group_norm_silu)(const GroupNormSilu&) = nullptr;  ///< float32, bfloat16 and half
  at::Tensor (*geglu)(const at::Tensor&) = nullptr;               ///< float32, bfloat16 and half, contiguous
};

#ifdef REWARD_TUNER_CUDA  // the build has the option REWARDTUNER_CUDA: src/fused_kernels.cu
namespace cuda {

at::Tensor group_norm_silu(const GroupNormSilu& call);
at::Tensor geglu(const at::Tensor& x);

}  // namespace cuda
#endif

/// Those in force: CUDA's where the build has them.
inline FusedKernels& fused_kernels() {
#ifdef REWARD_TUNER_CUDA
  static FusedKernels kernels{c10::DeviceType::CUDA, cuda::group_norm_silu, cuda::geglu};
#else
  static FusedKernels kernels;
#endif
  return kernels;
}

}  // namespace reward_tuner
