// How a pipeline evaluates its network where no gradient is asked for.
#pragma once
#include <c10/core/ScalarType.h>

#include <optional>

namespace reward_tuner {

struct RolloutMode {
  bool merge_adapters = true;                 ///< low-rank adapters are merged into the weights, which saves their two products a layer
  std::optional<c10::ScalarType> dtype = {};  ///< evaluate in this type (bfloat16, half) by a copy of the network, adapters merged; unset: its own
};

}  // namespace reward_tuner
