// Settings of calls without gradient.
#pragma once
#include <c10/core/ScalarType.h>

#include <optional>

namespace reward_tuner {

/// How a pipeline evaluates its network where no gradient is needed.
struct RolloutMode {
  /// low-rank adapters are merged into the weights, which saves their two products per layer
  bool merge_adapters = true;
  /// evaluate in this type (bfloat16, half) by a copy of the network, adapters merged; unset: its own
  std::optional<c10::ScalarType> dtype = {};
  /// repeated calls are recorded and replayed where the device can; weights of a rollout then stay where they are
  bool capture = false;
};

}  // namespace reward_tuner
