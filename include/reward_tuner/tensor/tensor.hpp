// The one name under which the library knows LibTorch's tensor.
#pragma once
#include <torch/types.h>

namespace reward_tuner {

using torch::Tensor;

}  // namespace reward_tuner
