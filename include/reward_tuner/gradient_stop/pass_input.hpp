// The whole adjoint enters the network's input: ordinary back-propagation through the sampler.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>

namespace reward_tuner {

/// PassInput has nothing to set.
struct PassInputOptions {};

/// Full chain rule through every trained step, Jacobians of the network included (DRaFT, AlignProp).
class PassInput {
 public:
  using Role = GradientStopRole;
  using Options = PassInputOptions;
  static constexpr std::string_view kName = "pass_input";
  static constexpr bool kAlwaysStops = false;

  explicit PassInput(PassInputOptions = {}) {}
  double input_gain(int) const { return 1.0; }
};
static_assert(GradientStopPolicy<PassInput>);

}  // namespace reward_tuner
