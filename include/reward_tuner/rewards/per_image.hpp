// What a reward that judges images one by one answers with.
#pragma once
#include <ATen/ops/tensor.h>

#include <vector>

#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// One number for each image, in the images' dtype and on their device.  numbers: B -> [B]
inline Tensor per_image(const std::vector<double>& numbers, const Tensor& images) {
  return beside(images, at::tensor(at::ArrayRef<double>(numbers), at::kDouble).to(images.scalar_type()));  // [B]
}

}  // namespace reward_tuner
