// The layout of a network's images: channels last, as the convolutions of cards want them.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <reward_tuner/layers/fused_kernels.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Lays out the kernels of a network's convolutions as [out,kh,kw,in]. Images follow them from layer to layer: a
/// convolution's answer has its kernel's layout. The numbers are the same up to rounding.
inline void lay_channels_last(torch::nn::Module& network) {
  for (Tensor& weight : network.parameters())
    if (weight.dim() == 4) weight.set_data(weight.data().contiguous(at::MemoryFormat::ChannelsLast));
}

/// Whether a pipeline on the device does so unless it is told: where the device has a kernel for group normalization
/// that keeps the layout. LibTorch's own turns it back on cards (pytorch/pytorch#111824), a copy at every layer.
inline bool prefers_channels_last(at::Device device) {
  return fused_kernels().group_norm_silu != nullptr && fused_kernels().device == device.type();
}

}  // namespace reward_tuner
