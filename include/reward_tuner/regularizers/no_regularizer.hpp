// No extra loss.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>

namespace reward_tuner {

/// NoRegularizer has nothing to set.
struct NoRegularizerOptions {};

class NoRegularizer {
 public:
  using Role = RegularizerRole;
  using Options = NoRegularizerOptions;
  static constexpr std::string_view kName = "none";
  static constexpr bool kNeedsReference = false;

  explicit NoRegularizer(NoRegularizerOptions = {}) {}
  double weight() const { return 0.0; }
};
static_assert(RegularizerPolicy<NoRegularizer>);

}  // namespace reward_tuner
