// Definitions of device.hpp.
#pragma once
#include <reward_tuner/tensor/device.hpp>

#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstddef>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

namespace detail {

inline int devices_of(at::DeviceType type) {
  return c10::impl::hasDeviceGuardImpl(type) ? c10::impl::getDeviceGuardImpl(type)->deviceCount() : 0;
}

/// "cpu, cuda:0 and cuda:1" of the kinds that networks run on.
inline std::string devices_here() {
  std::string text = "cpu";
  for (const auto type : {at::kCUDA, at::kXPU, at::kMPS, at::kPrivateUse1})
    for (int i = 0; i < devices_of(type); ++i) text += ", " + at::Device(type, static_cast<at::DeviceIndex>(i)).str();
  return text;
}

REWARD_TUNER_INLINE void check_kernels(at::Device device, at::ScalarType dtype, std::string_view who) {
  const torch::NoGradGuard no_grad;
  try {
    const auto like = at::TensorOptions().device(device).dtype(dtype);
    const Tensor x = at::conv2d(at::zeros({1, 2, 4, 4}, like), at::zeros({2, 2, 3, 3}, like));  // [1,2,2,2]
    at::group_norm(x, 1).flatten(2).matmul(at::zeros({4, 4}, like));
  } catch (const c10::Error& problem) {
    fail("[", who, "] the device ", device, " cannot compute in the dtype ", dtype, ": expected another dtype, got '",
         problem.what_without_backtrace(), "'");
  }
}

}  // namespace detail

REWARD_TUNER_INLINE void check_device(at::Device device, at::ScalarType dtype, std::string_view who) {
  const int count = detail::devices_of(device.type());
  REWARD_TUNER_CHECK(device.index() < count && count > 0, "[", who, "] expected a device that is here (",
                     detail::devices_here(), "), got ", device,
                     count == 0 ? ": this LibTorch has no such device, or the machine has none" : "");
  REWARD_TUNER_CHECK(dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble, "[",
                     who, "] expected the dtype Float, BFloat16, Half or Double, got ", dtype);
  detail::check_kernels(device, dtype, who);
}

REWARD_TUNER_INLINE bool detail::is_staged(const Tensor& host, at::Device device) {
  constexpr std::size_t kMost = std::size_t{1} << 28;  // bytes
  return device.is_cuda() && host.device().is_cpu() && host.layout() == at::kStrided && host.numel() > 0 &&
         static_cast<std::size_t>(host.numel()) * host.element_size() <= kMost;
}

REWARD_TUNER_INLINE Tensor to_device(const Tensor& host, at::Device device) {
  // in the other direction the host would read before the copy is done
  if (!detail::is_staged(host, device)) return host.to(device, /*non_blocking=*/host.device().is_cpu());
  return detail::staged(host, device, [](const Tensor& like) {
    return at::empty_like(like, like.options().requires_grad(false).pinned_memory(true));
  });
}

}  // namespace reward_tuner
