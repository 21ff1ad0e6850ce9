// The reward's own gradient, carried back through decoder and sampler: the objective of every direct method.
#pragma once
#include <string_view>

#include <reward_tuner/core/concepts.hpp>

namespace reward_tuner {

struct DirectGradientOptions {
  double scale = 1.0;  ///< factor on the loss -mean(reward), > 0; matters beside a regularizer and gradient clipping only
};

/// L = -scale * mean_B r(decode(x_0))   (DRTune-paper Alg. 1, line 23, with the sign that raises r).
class DirectGradient {
 public:
  using Role = ObjectiveRole;
  using Options = DirectGradientOptions;
  static constexpr std::string_view kName = "direct_gradient";

  explicit DirectGradient(DirectGradientOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.scale > 0, "[DirectGradient] scale must be > 0, found ", options_.scale);
  }
  double scale() const { return options_.scale; }

 private:
  DirectGradientOptions options_;
};
static_assert(ObjectivePolicy<DirectGradient>);

}  // namespace reward_tuner
