// The network's input is a constant: gradient reaches a step only through its output.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>

namespace reward_tuner {

/// StopInput has nothing to set.
struct StopInputOptions {};

/// latent(k+1) = a*latent(k) + b*network(sg(latent(k))) + s*z   (DRTune-paper Eq. 3). Trained steps become independent
/// of one another.
class StopInput {
 public:
  using Role = GradientStopRole;
  using Options = StopInputOptions;
  static constexpr std::string_view kName = "stop_input";
  static constexpr bool kAlwaysStops = true;

  explicit StopInput(StopInputOptions = {}) {}
  double input_gain(int) const { return 0.0; }
};
static_assert(GradientStopPolicy<StopInput>);

}  // namespace reward_tuner
