// The reward's own gradient, carried back through decoder and sampler: the objective of every direct method.
#pragma once
#include <ATen/ops/abs.h>
#include <ATen/ops/relu.h>

#include <cmath>
#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// The loss phi(r) of a reward r.
enum class RewardLoss {
  kNegative,  ///< -r (DRTune, DRaFT)
  /// max(target - r, 0): rewards beyond the target are not pushed on (ReFL with target 2 on ImageReward; its code's
  /// relu(2 - r))
  kHinge,
  /// |target - r|: rewards beyond the target are pulled back (AlignProp with target 10 on aesthetic scores)
  kDistance,
};

/// The loss that DirectGradient makes of a reward.
struct DirectGradientOptions {
  /// factor on the loss, > 0 (ReFL: 1e-3, AlignProp's code: 1e-2); it counts beside a regularizer, with gradient
  /// clipping, and where gradients are near AdamW's epsilon
  double scale = 1.0;
  RewardLoss loss = RewardLoss::kNegative;  ///< phi
  double target = 0.0;                      ///< kHinge, kDistance: the target reward, in the reward's own units
};
REWARD_TUNER_FIELDS(DirectGradientOptions, scale, loss, target);

/// L = scale * mean_B phi(r(decode(x_0)))   (DRTune-paper Alg. 1, line 23, with the sign that raises r; ReFL:
/// ImageReward paper Eq. 4 with phi = relu).
class DirectGradient {
 public:
  using Role = ObjectiveRole;
  using Options = DirectGradientOptions;
  static constexpr std::string_view kName = "direct_gradient";
  static constexpr Surrogate kSurrogate = Surrogate::kReward;

  explicit DirectGradient(DirectGradientOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.scale > 0 && std::isfinite(options_.scale), "[DirectGradient] scale must be > 0, got ",
                       options_.scale);
    REWARD_TUNER_CHECK(std::isfinite(options_.target), "[DirectGradient] target must be finite, got ", options_.target);
    REWARD_TUNER_CHECK(options_.loss != RewardLoss::kNegative || options_.target == 0, "[DirectGradient] target ",
                       options_.target, " cannot be combined with the loss -r; name kHinge or kDistance");
  }
  const DirectGradientOptions& options() const { return options_; }

  /// scale * phi(r), differentiable.  rewards [B] -> [B]
  Tensor losses(const Tensor& rewards) const {
    switch (options_.loss) {
      case RewardLoss::kNegative:
        return -options_.scale * rewards;
      case RewardLoss::kHinge:
        return options_.scale * at::relu(options_.target - rewards);
      case RewardLoss::kDistance:
        return options_.scale * at::abs(options_.target - rewards);
    }
    return rewards;
  }

 private:
  DirectGradientOptions options_;
};
static_assert(RewardObjective<DirectGradient>);

}  // namespace reward_tuner
