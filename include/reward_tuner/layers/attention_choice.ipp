// Definitions of attention_choice.hpp.
#pragma once
#include <reward_tuner/layers/attention_choice.hpp>

#include <ATen/Context.h>
#include <ATen/ops/_scaled_dot_product_attention_math.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_efficient_attention.h>
#include <ATen/ops/_scaled_dot_product_flash_attention.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <torch/types.h>

#include <algorithm>
#include <limits>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/fused_ops.hpp>
#include <reward_tuner/layers/graph_recorder.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace reward_tuner {

namespace detail {

/// By the events of the device's present stream: the least of three times five calls, after three.
inline double device_seconds(AttentionKernel, at::Device device, const std::function<void()>& run) {
  constexpr int kWarmUp = 3, kTries = 3, kCalls = 5;
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
  for (int i = 0; i < kWarmUp; ++i) run();
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTries; ++i) {
    c10::Event begin(device.type(), c10::EventFlag::BACKEND_DEFAULT),
        end(device.type(), c10::EventFlag::BACKEND_DEFAULT);
    begin.record(stream);
    for (int call = 0; call < kCalls; ++call) run();
    end.record(stream);
    end.synchronize();
    least = std::min(least, begin.elapsedTime(end) * 1e-3 / kCalls);
  }
  return least;
}

/// Whether the user allows the kernel and it may take the form.
inline bool may_take(AttentionKernel kernel, const AttentionForm& form) {
  constexpr std::int64_t kSmall = std::int64_t{1} << 25;  // weights in memory of plain products: 64 MiB of bfloat16
  const auto& context = at::globalContext();
  const bool low = form.type == at::kBFloat16 || form.type == at::kHalf, aligned = form.width % 8 == 0;
  switch (kernel) {
    case AttentionKernel::kDefault:
      return true;
    case AttentionKernel::kFlash:
      return context.userEnabledFlashSDP() && low && aligned && form.width <= 256;
    case AttentionKernel::kEfficient:
      return context.userEnabledMemEfficientSDP() && aligned;
    case AttentionKernel::kCudnn:
      return context.userEnabledCuDNNSDP() && low && aligned && form.width <= 256;
    case AttentionKernel::kMath:
      return context.userEnabledMathSDP() && form.rows * form.queries * form.keys <= kSmall;
  }
  return false;
}

/// Whether two answers differ by rounding alone. Waits for the device.
inline bool agree(const Tensor& answer, const Tensor& wanted) {
  constexpr double kRounding = 0.02;  // of a norm; two roundings to bfloat16 and sums in another order stay below
  const Tensor exact = wanted.to(at::kFloat);
  return (answer.to(at::kFloat) - exact).norm().item<double>() <= kRounding * exact.norm().item<double>();
}

}  // namespace detail

REWARD_TUNER_INLINE std::string_view attention_kernel_name(AttentionKernel kernel) {
  switch (kernel) {
    case AttentionKernel::kDefault:
      return "default";
    case AttentionKernel::kFlash:
      return "flash";
    case AttentionKernel::kEfficient:
      return "efficient";
    case AttentionKernel::kCudnn:
      return "cudnn";
    case AttentionKernel::kMath:
      return "math";
  }
  return "unknown";
}

REWARD_TUNER_INLINE Tensor attention_by(AttentionKernel kernel, const Tensor& q, const Tensor& k, const Tensor& v) {
  switch (kernel) {
    case AttentionKernel::kDefault:
      break;
    case AttentionKernel::kFlash:
      return std::get<0>(at::_scaled_dot_product_flash_attention(q, k, v));
    case AttentionKernel::kEfficient:
      return std::get<0>(at::_scaled_dot_product_efficient_attention(q, k, v, /*attn_bias=*/std::nullopt,
                                                                     /*compute_log_sumexp=*/false));
    case AttentionKernel::kCudnn:
      return std::get<0>(at::_scaled_dot_product_cudnn_attention(q, k, v, /*attn_bias=*/std::nullopt,
                                                                 /*compute_log_sumexp=*/false));
    case AttentionKernel::kMath:
      return std::get<0>(at::_scaled_dot_product_attention_math(q, k, v));
  }
  return at::scaled_dot_product_attention(q, k, v);
}

REWARD_TUNER_INLINE AttentionChoice::AttentionChoice() : AttentionChoice(Timer(detail::device_seconds)) {}

REWARD_TUNER_INLINE bool AttentionChoice::suits(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto type = q.scalar_type();
  const bool differentiated =
      torch::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
  return !differentiated && q.numel() > 0 && k.numel() > 0 && k.scalar_type() == type && v.scalar_type() == type &&
         (type == at::kFloat || type == at::kBFloat16 || type == at::kHalf) && !OperatorsAlone::now() &&
         !autocast_dtype(q.device().type()) && !at::globalContext().deterministicAlgorithms();
}

REWARD_TUNER_INLINE AttentionKernel AttentionChoice::of(const Tensor& q, const Tensor& k, const Tensor& v) {
  const AttentionForm form{q.device().type(), q.device().index(), q.scalar_type(), q.size(0) * q.size(1),
                           q.size(2),         k.size(2),          q.size(3)};
  auto found = measured_.find(form);
  if (found == measured_.end() && RecordingScope::now()) return AttentionKernel::kDefault;
  if (found == measured_.end()) found = measured_.emplace(form, measure(form, q, k, v)).first;
  return found->second.kernel;
}

REWARD_TUNER_INLINE AttentionChoice::Measured AttentionChoice::measure(const AttentionForm& form, const Tensor& q,
                                                                       const Tensor& k, const Tensor& v) const {
  using enum AttentionKernel;
  constexpr double kWorthIt = 0.95;  // of the default's time: below is more than two measurements differ by
  const torch::NoGradGuard no_grad;
  // in the layout that the layer behind it reads
  const auto answer = [&](AttentionKernel kernel) { return attend_(kernel, q, k, v).transpose(1, 2).contiguous(); };
  const auto seconds = [&](AttentionKernel kernel) { return timer_(kernel, q.device(), [&] { answer(kernel); }); };
  Measured out;
  const Tensor wanted = answer(kDefault);  // [B,L,heads,d]
  double least = kWorthIt * (out.seconds[kDefault] = seconds(kDefault));
  for (const AttentionKernel kernel : {kFlash, kEfficient, kCudnn, kMath}) {
    if (!detail::may_take(kernel, form)) continue;
    try {
      if (!detail::agree(answer(kernel), wanted)) continue;
      const double own = out.seconds[kernel] = seconds(kernel);
      if (own < least) least = own, out.kernel = kernel;
    } catch (const c10::Error&) {  // not on this card, or not these tensors
    }
  }
  return out;
}

}  // namespace reward_tuner
