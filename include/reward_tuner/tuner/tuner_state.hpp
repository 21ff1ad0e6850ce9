// What a tuner remembers between updates, as plain numbers.
#pragma once
#include <cstdint>

namespace reward_tuner {

/// What a tuner remembers between updates; a checkpoint holds it.
struct TunerState {
  std::int64_t updates = 0;         ///< updates made, skipped ones included
  std::int64_t skipped = 0;         ///< updates skipped for non-finite numbers
  std::int64_t skipped_in_a_row = 0;

  bool operator==(const TunerState&) const = default;
};

}  // namespace reward_tuner
