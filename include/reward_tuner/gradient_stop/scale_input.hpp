// A share of the adjoint enters the network's input: between StopInput and PassInput.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How much of the gradient ScaleInput lets through.
struct ScaleInputOptions {
  double gain = 0.3;  ///< in [0, 1]: 0 as StopInput, 1 as PassInput   (LeapAlign, arXiv 2604.15311: 0.3)
};
REWARD_TUNER_FIELDS(ScaleInputOptions, gain);

/// latent(k+1) = a*latent(k) + b*network(sg(x) + gain*(x - sg(x))) + c*z with x = latent(k): the network's Jacobian
/// counts `gain` times, so that a product of n Jacobians counts gain^n times and cannot explode as fast as PassInput's.
class ScaleInput {
 public:
  using Role = GradientStopRole;
  using Options = ScaleInputOptions;
  static constexpr std::string_view kName = "scale_input";
  static constexpr bool kAlwaysStops = false;

  explicit ScaleInput(ScaleInputOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.gain >= 0 && options_.gain <= 1, "[ScaleInput] gain must be in [0, 1], got ",
                       options_.gain);
  }
  double input_gain(int) const { return options_.gain; }
  const ScaleInputOptions& options() const { return options_; }

 private:
  ScaleInputOptions options_;
};
static_assert(GradientStopPolicy<ScaleInput>);

}  // namespace reward_tuner
