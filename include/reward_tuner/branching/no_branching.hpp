// Rollouts do not fork, and every image is trained: the default.
#pragma once
#include <string_view>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>

namespace reward_tuner {

/// NoBranching has nothing to set.
struct NoBranchingOptions {};

class NoBranching {
 public:
  using Role = BranchingRole;
  using Options = NoBranchingOptions;
  static constexpr std::string_view kName = "no_branching";

  explicit NoBranching(NoBranchingOptions = {}) {}

  int branches() const { return 1; }
  std::vector<BranchChoice> choose(const std::vector<double>& advantages) const {
    REWARD_TUNER_CHECK(advantages.size() == 1, "[NoBranching] expected the advantage of 1 branch, got ",
                       advantages.size());
    return {{.branch = 0, .weight = 1}};
  }
};
static_assert(BranchingPolicy<NoBranching>);

}  // namespace reward_tuner
