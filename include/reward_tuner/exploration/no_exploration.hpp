// Training rollouts use the prompt and the guidance scale as they are.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/models/condition.hpp>

namespace reward_tuner {

/// NoExploration has nothing to set.
struct NoExplorationOptions {};

class NoExploration {
 public:
  using Role = ExplorationRole;
  using Options = NoExplorationOptions;
  static constexpr std::string_view kName = "none";

  explicit NoExploration(NoExplorationOptions = {}) {}
  Condition condition(const Condition& given, Rng&) const { return given; }
  double guidance(double scale, int, int) const { return scale; }
};
static_assert(ExplorationPolicy<NoExploration>);

}  // namespace reward_tuner
