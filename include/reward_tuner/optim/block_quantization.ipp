// Definitions of block_quantization.hpp.
#pragma once
#include <reward_tuner/optim/block_quantization.hpp>

#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE DynamicCode::DynamicCode(bool with_sign, const at::TensorOptions& numbers) {
  constexpr int kPowers = 7;
  std::vector<double> values{0, 1}, limits;
  for (int power = 0; power < kPowers; ++power) {
    const int intervals = (with_sign ? 64 : 128) >> power;
    for (int i = 0; i < intervals; ++i) {
      values.push_back(std::pow(10.0, -power) * (0.1 + 0.9 * (i + 0.5) / intervals));
      if (with_sign) values.push_back(-values.back());
    }
  }
  std::sort(values.begin(), values.end());
  for (std::size_t i = 1; i < values.size(); ++i) limits.push_back((values[i - 1] + values[i]) / 2);
  if (!with_sign) limits[0] = 0;
  values_ = at::tensor(values, at::kDouble).to(numbers);  // [256]
  limits_ = at::tensor(limits, at::kDouble).to(numbers);  // [255]
}

REWARD_TUNER_INLINE void DynamicCode::encode(const Tensor& numbers, const Tensor& codes, Tensor scales,
                                             Scratch scratch) const {
  at::abs_out(scratch.numbers, numbers);                         // [rows,width]
  at::amax_out(scales, scratch.numbers, {1}, /*keepdim=*/true);  // [rows,1]
  // a block of zeros is not divided by 0
  at::clamp_min_out(scratch.scales, scales, std::numeric_limits<float>::min());  // [rows,1]
  numbers.div_(scratch.scales);                                                  // [rows,width]
  at::bucketize_out(scratch.codes, numbers, limits_, /*out_int32=*/true);        // [rows,width]
  codes.copy_(scratch.codes);
}

REWARD_TUNER_INLINE void DynamicCode::decode(const Tensor& numbers, const Tensor& codes, const Tensor& scales,
                                             const Scratch& scratch) const {
  scratch.codes.copy_(codes);  // [rows,width]
  Tensor flat = numbers.view(-1);
  at::index_select_out(flat, values_, 0, scratch.codes.view(-1));  // [rows*width]
  numbers.mul_(scales);                                            // [rows,width]
}

}  // namespace reward_tuner
