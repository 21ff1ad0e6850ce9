// Hands the pictures of a batch one by one to classical image analysis on the CPU.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace reward_tuner::detail {

/// Calls f(i, rgb, height, width) for every picture of a batch [B,3,H,W], where rgb is its planar float buffer [3,H,W].
/// Without gradient; pictures on another device are copied to the CPU.
template <class F>
void for_each_picture(const torch::Tensor& images, F f) {
  const torch::Tensor pictures = images.detach().to(at::kCPU, at::kFloat).contiguous();  // [B,3,H,W]
  const std::int64_t height = pictures.size(2), width = pictures.size(3);
  for (std::int64_t i = 0; i < pictures.size(0); ++i)
    f(i, pictures.const_data_ptr<float>() + i * 3 * height * width, static_cast<int>(height), static_cast<int>(width));
}

}  // namespace reward_tuner::detail
