// What a tuner remembers between updates: counters, the rewards that advantages look back on, and the tensors of what
// it learns in addition to the model.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/advantage_input.hpp>
#include <reward_tuner/optim/gradient_scale.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// What a tuner remembers between updates; a checkpoint holds it.
struct TunerState {
  std::int64_t updates = 0;  ///< updates made, skipped ones included
  std::int64_t skipped = 0;  ///< updates skipped for non-finite numbers
  std::int64_t skipped_in_a_row = 0;
  GradientScale gradient_scale = {};  ///< of a network of float16
  RewardHistory history = {};         ///< of the advantage
  /// network rows whose graphs fit into Memory::budget, as the first update measured; unset before, and without one
  std::optional<std::int64_t> retained_rows = {};
  /// of a learned baseline; never changed in place, so copies of a state are independent
  std::map<std::string, Tensor> tensors = {};
  std::vector<std::int64_t> prompt_position = {};  ///< {epoch, position} of a task's prompt stream; empty without one
  std::vector<TunerState> tasks = {};              ///< of the tasks of a MultiTask, in order

  bool operator==(const TunerState& other) const {
    if (updates != other.updates || skipped != other.skipped || skipped_in_a_row != other.skipped_in_a_row ||
        gradient_scale != other.gradient_scale || history != other.history || retained_rows != other.retained_rows ||
        prompt_position != other.prompt_position || tasks != other.tasks || tensors.size() != other.tensors.size())
      return false;
    for (const auto& [name, tensor] : tensors)
      if (const auto found = other.tensors.find(name);
          found == other.tensors.end() || !found->second.to(tensor.device()).equal(tensor))
        return false;
    return true;
  }
};

}  // namespace reward_tuner
