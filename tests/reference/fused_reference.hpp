// What the fused kernels are compared with: the operators in double, on the CPU.
#pragma once
#include <ATen/ops/gelu.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>

#include <cstdint>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner::reference {

/// [B,C,h,w]
inline Tensor norm_silu_in_double(const Tensor& x, std::int64_t groups, const Tensor& weight, const Tensor& bias) {
  return at::silu(
      at::group_norm(x.to(at::kDouble).contiguous(), groups, weight.to(at::kDouble), bias.to(at::kDouble), 1e-5));
}

/// [..,2W] -> [..,W]
inline Tensor geglu_in_double(const Tensor& x) {
  const auto halves = x.to(at::kDouble).chunk(2, -1);
  return halves[0] * at::gelu(halves[1]);
}

/// The largest error per 1 + |wanted|.
inline double fused_error(const Tensor& got, const Tensor& wanted) {
  return ((got.cpu().to(at::kDouble) - wanted).abs() / (1 + wanted.abs())).max().item<double>();
}

}  // namespace reward_tuner::reference
