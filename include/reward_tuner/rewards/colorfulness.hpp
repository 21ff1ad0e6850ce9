// The colorfulness reward: spread and strength of the opponent colors.
#pragma once
#include <torch/types.h>

#include <cmath>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Options of ColorfulnessReward.
struct ColorfulnessOptions {
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
  /// added under both roots of the trained value, above 0: keeps the gradient finite on grey images (1e-8 is a
  /// fortieth of a grey level of 255)
  double floor = 1e-8;
};
REWARD_TUNER_FIELDS(ColorfulnessOptions, leak, floor);

/// M = sqrt(var_rg + var_yb) + 0.3 sqrt(mean_rg^2 + mean_yb^2) per image with rg = R - G, yb = (R + G)/2 - B,
/// variances over the pixels (Hasler and Suesstrunk 2003, "Measuring colorfulness in natural images", Eq. 7; their
/// images are 0..255, so their numbers are 255 times these). A root sqrt(x) is sqrt(x + floor) - sqrt(floor); floor 0
/// is the formula as printed. images [B,3,H,W], taken as they are; returns [B] in [0, about 1].
inline Tensor colorfulness(const Tensor& images, double floor = 0) {
  const Tensor red = images.select(1, 0), green = images.select(1, 1), blue = images.select(1, 2);  // [B,H,W]
  const Tensor rg = red - green, yb = 0.5 * (red + green) - blue;                                   // [B,H,W]
  const auto root = [floor](const Tensor& x) { return (x + floor).sqrt() - std::sqrt(floor); };
  const Tensor spread = rg.var({1, 2}, /*unbiased=*/false) + yb.var({1, 2}, /*unbiased=*/false);  // [B]
  const Tensor strength = rg.mean({1, 2}).pow(2) + yb.mean({1, 2}).pow(2);                        // [B]
  return root(spread) + 0.3 * root(strength);                                                     // [B]
}

/// values = colorfulness with options.floor, on images clamped to [0,1]; 0 for grey images.
/// The formula as printed is reported as component "colorfulness"; the trained value is smaller by at most 1.3
/// sqrt(floor).
/// Gradient: differentiable in input.images, with options.leak outside [0,1]; finite everywhere, 0 at an exactly grey
/// image. Errors: options out of range.
/// Example: `make<DRTune>(ColorfulnessReward())`.
class ColorfulnessReward {
 public:
  using Role = RewardRole;
  using Options = ColorfulnessOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "colorfulness";

  explicit ColorfulnessReward(ColorfulnessOptions options = {}) : options_(options) {
    check_leak("ColorfulnessReward", options_.leak);
    REWARD_TUNER_CHECK(options_.floor > 0 && std::isfinite(options_.floor),
                       "[ColorfulnessReward] floor must be above 0, got ", options_.floor);
  }

  const ColorfulnessOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "ColorfulnessReward");
    const Tensor images = leaky_clamp(input.images, options_.leak);  // [B,3,H,W]
    return {colorfulness(images, options_.floor), {{"colorfulness", colorfulness(images.detach())}}};
  }

 private:
  ColorfulnessOptions options_;
};

static_assert(RewardPolicy<ColorfulnessReward>);

}  // namespace reward_tuner
