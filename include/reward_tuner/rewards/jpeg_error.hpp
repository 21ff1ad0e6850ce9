// The compression error reward: how much an image changes when it is stored as JPEG.
#pragma once
#include <torch/types.h>

#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/jpeg_round_trip.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Options of JpegErrorReward.
struct JpegErrorOptions {
  int quality = 50;             ///< of the JPEG, 1..100 as libjpeg counts (DRTune: not given)
  bool incompressible = false;  ///< true rewards a large error instead of a small one
  /// gradient of the rounding (docs/decisions/0010); no effect on values
  JpegRounding rounding = JpegRounding::kExact;
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};
REWARD_TUNER_FIELDS(JpegErrorOptions, quality, incompressible, rounding, leak);

/// mean (I - d(c(I)))^2 per image over pixels and channels (DRTune paper Eq. 7), c and d by jpeg_round_trip. images
/// [B,3,H,W], taken as they are (clamp before); returns [B], 0 for an image that JPEG keeps. Images of photographs
/// and drawings have about 0.0005 to 0.01 at quality 50.
inline Tensor jpeg_error(const Tensor& images, int quality = 50, JpegRounding rounding = JpegRounding::kExact) {
  const Tensor stored = jpeg_round_trip(images, quality, rounding);    // [B,3,H,W]
  return (images.to(stored.dtype()) - stored).pow(2).mean({1, 2, 3});  // [B]
}

/// values = -jpeg_error, or +jpeg_error if options.incompressible, on images clamped to [0,1].
/// Eq. 7 of the DRTune paper is a loss, so it is negated; the error itself is always reported as component "jpeg_error"
/// (lower is better).
/// Gradient: differentiable in input.images, with options.leak outside [0,1]. By default 2 (I - d(c(I))) / N, the true
/// derivative almost everywhere, which pulls an image toward its stored form. Straight-through rounding makes the
/// derivative of d(c(I)) the identity on luminance, so that the gradient of the error along luminance cancels exactly
/// and only the loss of chroma by 2x2 averaging is trained.
/// Cost: four 8x8 matrix products per block. Errors: options out of range.
/// Example: `make<DRTune>(JpegErrorReward({.quality = 30}))`.
class JpegErrorReward {
 public:
  using Role = RewardRole;
  using Options = JpegErrorOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "jpeg_error";

  explicit JpegErrorReward(JpegErrorOptions options = {}) : options_(options) {
    REWARD_TUNER_CHECK(options_.quality >= 1 && options_.quality <= 100,
                       "[JpegErrorReward] quality must be in [1, 100], got ", options_.quality);
    check_leak("JpegErrorReward", options_.leak);
  }

  const JpegErrorOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "JpegErrorReward");
    // [B]
    const Tensor error = jpeg_error(leaky_clamp(input.images, options_.leak), options_.quality, options_.rounding);
    return {options_.incompressible ? error : -error, {{"jpeg_error", error.detach()}}};
  }

 private:
  JpegErrorOptions options_;
};

static_assert(RewardPolicy<JpegErrorReward>);

}  // namespace reward_tuner
