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

/// A copy on the device by way of memory(host), which gives memory of the host for a tensor like its argument. Never
/// of `host` itself, which its owner may write to while the device still reads.
template <class Memory>
Tensor staged(const Tensor& host, at::Device device, const Memory& memory) {
  Tensor staging = memory(host);
  staging.copy_(host);
  return staging.to(device, /*non_blocking=*/true);
}

/// Whether to_device goes through pinned memory: from the host to a CUDA card, and not weights of networks, whose size
/// LibTorch's cache of pinned memory would keep.
bool is_staged(const Tensor& host, at::Device device);

}  // namespace detail

/// A tensor of the host, moved to `device`, or itself if it is there. What the device does goes on meanwhile: a plain
/// `to` waits for it. `host` may be changed or dropped at once: a card reads from pinned memory of LibTorch's cache,
/// which notes the stream of the copy and gives the memory to nobody before that is done.
Tensor to_device(const Tensor& host, at::Device device);

/// The same to the device of `like`.
inline Tensor beside(const Tensor& like, const Tensor& host) { return to_device(host, like.device()); }

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/tensor/device.ipp>
#endif
