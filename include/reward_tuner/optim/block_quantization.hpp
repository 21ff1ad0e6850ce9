// Numbers in 8 bits: one code each and one scale a block, for the moments of an optimizer.
#pragma once

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The dynamic data type of Dettmers et al. 2021 (arXiv 2110.02861, 1.2 and 2): 256 values in [-1,1], or in [0,1]
/// without a sign. Each of the seven powers of ten below 1 has equally wide intervals, half as many as the one above,
/// and a code is the middle of its interval; 0 and 1 are codes too. A block's numbers are divided by the largest of
/// their sizes, its scale.
/// Error of a number of size x, in units of the scale: at most 1/142 from 0.1 on (without a sign 1/284), of a smaller
/// one down to 1e-5 at most 0.47 x (0.28 x), down to 1e-7 at most x (2.25 x).
class DynamicCode {
 public:
  /// `numbers`: type and device of what is encoded. Without a sign only 0 itself becomes 0.
  DynamicCode(bool with_sign, const at::TensorOptions& numbers);

  /// Room for a call on [rows,width] numbers.
  struct Scratch {
    Tensor numbers, codes, scales;  // as the numbers, int32 as the numbers, as the scales
  };

  /// numbers [rows,width], a block a row -> codes uint8 [rows,width], scales [rows,1]. The numbers are spoiled.
  void encode(const Tensor& numbers, const Tensor& codes, Tensor scales, Scratch scratch) const;
  /// codes uint8 [rows,width], scales [rows,1] -> numbers [rows,width], which is contiguous.
  void decode(const Tensor& numbers, const Tensor& codes, const Tensor& scales, const Scratch& scratch) const;

  const Tensor& values() const { return values_; }  ///< [256] ascending

 private:
  Tensor values_, limits_;  // code i stands for what is above limit i-1, up to limit i
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/optim/block_quantization.ipp>
#endif
