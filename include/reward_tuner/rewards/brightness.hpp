// The brightness reward: mean luma.
#pragma once
#include <torch/types.h>

#include <string_view>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Options of BrightnessReward.
struct BrightnessOptions {
  bool darker = false;         ///< true rewards dark images instead of bright ones
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};
REWARD_TUNER_FIELDS(BrightnessOptions, darker, leak);

/// mean_hw (0.299 R + 0.587 G + 0.114 B) per image (luma of ITU-R BT.601). images [B,3,H,W], taken as they are;
/// returns [B], 0 black, 1 white.
inline Tensor brightness(const Tensor& images) {
  const Tensor mean = images.mean({2, 3});                                                   // [B,3]
  return 0.299 * mean.select(1, 0) + 0.587 * mean.select(1, 1) + 0.114 * mean.select(1, 2);  // [B]
}

/// values = brightness, or minus it if options.darker, on images clamped to [0,1].
/// The brightness itself is always reported as component "brightness", in [0,1].
/// Gradient: differentiable in input.images, with options.leak outside [0,1]. Errors: a leak out of range.
/// Example: `make<DRTune>(BrightnessReward({.darker = true}))`.
class BrightnessReward {
 public:
  using Role = RewardRole;
  using Options = BrightnessOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "brightness";

  explicit BrightnessReward(BrightnessOptions options = {}) : options_(options) {
    check_leak("BrightnessReward", options_.leak);
  }

  const BrightnessOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "BrightnessReward");
    const Tensor light = brightness(leaky_clamp(input.images, options_.leak));  // [B]
    return {options_.darker ? -light : light, {{"brightness", light.detach()}}};
  }

 private:
  BrightnessOptions options_;
};

static_assert(RewardPolicy<BrightnessReward>);

}  // namespace reward_tuner
