// Convolution and linear layer for networks with frozen weights: nothing is stored for weight gradients, and the faster
// CPU library is used.
#pragma once
#include <cstdint>
#include <optional>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// W * x + b.  x [B,in,H,W], weight [out,in,kh,kw] -> [B,out,H',W']. As at::conv2d; with a frozen weight and bias it
/// keeps less for the backward.
Tensor apply_conv2d(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias, std::int64_t stride = 1,
                    std::int64_t padding = 0);

/// x W^T + b.  x [...,in], weight [out,in] -> [...,out]. Large products of float32 sequences on the CPU go as 1x1
/// convolutions through oneDNN, whose kernels use the widest vectors the machine has, where the BLAS of LibTorch's
/// builds does not on every machine (2.0 times as fast on a Zen 5, 2026-11-24, benchmarks/bench_blocks
/// --benchmark_filter=linear).
Tensor apply_linear(const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias = std::nullopt);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/frozen_ops.ipp>
#endif
