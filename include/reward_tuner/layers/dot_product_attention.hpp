// softmax(q k^T / sqrt(d)) v by the kernel that suits the device and the dtype.
#pragma once
#include <ATen/ops/_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <cmath>
#include <cstdint>
#include <optional>

#include <reward_tuner/layers/attention_choice.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Attention of one sequence to another (Vaswani et al. 2017, Eq. 1).  q [B,heads,L,d], k and v [B,heads,S,d] ->
/// [B,heads,L,d]. A `mask` that broadcasts to [B,heads,L,S] is added to q k^T / sqrt(d). In bfloat16 on the CPU by two
/// plain products while the L x S weights of the whole batch are at most 2^25, which a graph then keeps (64 MiB):
/// LibTorch's fused kernel is no faster in bfloat16 than in float32, and its backward is up to ten times slower for
/// short sequences (2.13, Zen 5: 6.7 ms against 0.8 ms for L = S = 64, d = 24). Price: the products q k^T are rounded
/// to bfloat16 before the softmax. Inside an AttentionScope calls without mask go by the kernel of its choice.
inline Tensor dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const std::optional<Tensor>& mask = std::nullopt) {
  if (AttentionChoice* choice = AttentionScope::now(); choice && !mask && AttentionChoice::suits(q, k, v))
    return (*choice)(q, k, v);
  constexpr std::int64_t kSmall = std::int64_t{1} << 25;
  if (q.scalar_type() != at::kBFloat16 || !q.device().is_cpu() ||
      q.size(0) * q.size(1) * q.size(2) * k.size(2) > kSmall)
    return at::scaled_dot_product_attention(q, k, v, mask);
  // [B,heads,L,S]
  Tensor scores = (q * (1 / std::sqrt(static_cast<double>(q.size(3))))).matmul(k.transpose(2, 3));
  if (mask) scores = scores + *mask;                                   // [B,heads,L,S]
  return at::_softmax(scores, -1, /*half_to_float=*/false).matmul(v);  // [B,heads,L,d]
}

}  // namespace reward_tuner
