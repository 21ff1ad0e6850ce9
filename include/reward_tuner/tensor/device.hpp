// Devices: named errors for one that is not there or cannot compute in a type, and copies that nobody waits for.
#pragma once
#include <c10/core/Device.h>

#include <string_view>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Throws unless this LibTorch has the device and networks can compute on it in `dtype`. `who` heads the message.
/// Errors: a device that LibTorch was built without or the machine lacks, a type that is not float32, bfloat16, float16
/// or double, a type that the device has no kernels for.
void check_device(at::Device device, at::ScalarType dtype, std::string_view who);

namespace detail {

/// The last of check_device's errors: a convolution, a normalization and a product are tried.
void check_kernels(at::Device device, at::ScalarType dtype, std::string_view who);

}  // namespace detail

/// A tensor of the host, moved to the device of `like`, or itself if it is there. What the device does goes on
/// meanwhile: a plain `to` waits for it.
inline Tensor beside(const Tensor& like, const Tensor& host) { return host.to(like.device(), /*non_blocking=*/true); }

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/tensor/device.ipp>
#endif
