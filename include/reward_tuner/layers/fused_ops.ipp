// Definitions of fused_ops.hpp.
#pragma once
#include <reward_tuner/layers/fused_ops.hpp>

#include <ATen/ops/gelu.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace reward_tuner {

namespace detail {

/// Whether the device's kernels take x: nothing to be differentiated, no autocast, which chooses types itself, and a
/// type and device that they know.
inline bool suits_kernels(const Tensor& x, bool differentiated) {
  const auto type = x.scalar_type();
  return !OperatorsAlone::now() && x.device().type() == fused_kernels().device &&
         !(torch::GradMode::is_enabled() && differentiated) &&
         (type == at::kFloat || type == at::kBFloat16 || type == at::kHalf) && !autocast_dtype(x.device().type());
}

}  // namespace detail

REWARD_TUNER_INLINE Tensor group_norm_silu(const GroupNormSilu& call) {
  const auto& [x, groups, weight, bias, eps] = call;
  const bool differentiated = x.requires_grad() || weight.requires_grad() || bias.requires_grad();
  const bool dense = x.is_contiguous() || x.is_contiguous(at::MemoryFormat::ChannelsLast);
  if (fused_kernels().group_norm_silu != nullptr && detail::suits_kernels(x, differentiated) && x.numel() > 0 &&
      x.dim() == 4 && dense && weight.scalar_type() == x.scalar_type() && weight.device() == x.device() &&
      bias.scalar_type() == x.scalar_type() && bias.device() == x.device())
    return fused_kernels().group_norm_silu(call);
  return at::silu(at::group_norm(x, groups, weight, bias, eps));
}

REWARD_TUNER_INLINE Tensor geglu(const Tensor& x) {
  if (fused_kernels().geglu != nullptr && detail::suits_kernels(x, x.requires_grad()) && x.numel() > 0 &&
      x.is_contiguous())
    return fused_kernels().geglu(x);
  const auto halves = x.chunk(2, -1);  // [...,D]
  return halves[0] * at::gelu(halves[1]);
}

}  // namespace reward_tuner
