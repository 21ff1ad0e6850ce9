// Group normalization with SiLU, and GEGLU: the operators, or where nothing is differentiated a device's own kernel.
#pragma once
#include <utility>

#include <reward_tuner/layers/fused_kernels.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// While one lives, calls of this thread use the operators alone: for what has to agree with calls that are
/// differentiated to more than rounding.
class OperatorsAlone {
 public:
  OperatorsAlone() : before_(std::exchange(now(), true)) {}
  ~OperatorsAlone() { now() = before_; }
  OperatorsAlone(const OperatorsAlone&) = delete;
  OperatorsAlone& operator=(const OperatorsAlone&) = delete;

  /// Whether one lives.
  static bool& now() {
    thread_local bool value = false;
    return value;
  }

 private:
  bool before_;
};

/// silu(group_norm(x)).  x [B,C,...] -> the same
/// A kernel rounds once where the operators round twice, and keeps the layout of x.
Tensor group_norm_silu(const GroupNormSilu& call);

/// a * gelu(b) of the halves a and b of the last dimension (Shazeer 2020, Eq. 6).  x [...,2D] -> [...,D]
/// A kernel rounds once where the operators round twice.
Tensor geglu(const Tensor& x);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/fused_ops.ipp>
#endif
