// Passes the images of a batch one by one to classical image analysis on the CPU.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace reward_tuner::shapes::detail {

/// Calls f(i, rgb, height, width) for every image of a batch [B,3,H,W], where rgb is its planar float buffer [3,H,W].
/// Without gradient; images on another device are copied to the CPU.
template <class F>
void for_each_image(const torch::Tensor& images, F f) {
  const torch::Tensor buffers = images.detach().to(at::kCPU, at::kFloat).contiguous();  // [B,3,H,W]
  const std::int64_t height = buffers.size(2), width = buffers.size(3);
  for (std::int64_t i = 0; i < buffers.size(0); ++i)
    f(i, buffers.const_data_ptr<float>() + i * 3 * height * width, static_cast<int>(height), static_cast<int>(width));
}

}  // namespace reward_tuner::shapes::detail
