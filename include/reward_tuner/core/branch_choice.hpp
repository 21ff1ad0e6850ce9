// Which branches of a forked rollout are trained, as plain data.
#pragma once
#include <cstddef>

namespace reward_tuner {

/// One branch that is trained.
struct BranchChoice {
  std::size_t branch = 0;  ///< 0 .. branches-1 within its root
  double weight = 1;       ///< factor on its advantage
  bool operator==(const BranchChoice&) const = default;
};

}  // namespace reward_tuner
