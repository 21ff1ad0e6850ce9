// The symmetry reward: how much an image differs from its mirror image, relative to its own contrast.
#pragma once
#include <torch/types.h>

#include <cmath>
#include <memory>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// What the mirror difference is divided by in training.
enum class SymmetryDeviation {
  /// root of the channel mean of each channel's spatial variance: fading an object gains nothing until it has almost
  /// vanished
  kSpatial,
  /// Eq. 6 as printed: standard deviation over pixels and channels together; a saturated flat color has a large one
  kLiteral
};

/// Options of SymmetryReward.
struct SymmetryOptions {
  /// denominator of the trained error; the reported one is always literal
  SymmetryDeviation deviation = SymmetryDeviation::kSpatial;
  double text_weight = 0;      ///< weight of the CLIPScore term, at least 0; above 0 needs a CLIP (DRTune: not given)
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
  /// least spatial variance under the root, above 0; keeps near-blank images from dominating a batch's gradient (1e-4
  /// is a deviation of 2.5 grey levels of 255)
  double floor = 1e-4;
};
REWARD_TUNER_FIELDS(SymmetryOptions, deviation, text_weight, leak, floor);

/// mean|I - flip_W(I)| / (std(I) + 1e-6) per image (DRTune paper Eq. 6), std over all pixels and channels, unbiased
/// as torch.std. images [B,3,H,W], taken as they are (clamp before); returns [B]:
/// 0 for a mirror-symmetric image, about 2/sqrt(pi) for iid Gaussian noise, unchanged under I -> a*I + b.
inline Tensor literal_symmetry_error(const Tensor& images) {
  const Tensor difference = (images - images.flip({3})).abs().mean({1, 2, 3});  // [B]
  return difference / (images.flatten(1).std(1) + 1e-6);                        // [B]
}

/// mean|I - flip_W(I)| / sqrt(max(mean_c var_hw(I), floor)) per image. images [B,3,H,W], taken as they are; returns
/// [B].
inline Tensor spatial_symmetry_error(const Tensor& images, double floor) {
  const Tensor difference = (images - images.flip({3})).abs().mean({1, 2, 3});  // [B]
  const Tensor variance = images.var({2, 3}).mean(1);                           // [B]
  return difference / variance.clamp_min(floor).sqrt();                         // [B]
}

/// values = -symmetry error + text_weight * CLIPScore.
/// Eq. 6 of the DRTune paper is a loss, so it is negated; its literal value is always reported as component
/// "symmetry_error" (lower is better) on images clamped to [0,1]. The trained error divides by the spatial deviation
/// unless options.deviation says otherwise: the literal one does not penalize a flat color. With text_weight > 0 the
/// cosine is reported as "clip_score".
/// Gradient: differentiable in input.images, with options.leak outside [0,1]. Errors: options out of range; score()
/// with text_weight > 0 and no CLIP (give one as second argument or by bind_clip; a tuner binds the pipeline's own).
/// Example: `make<DRTune>(SymmetryReward({.text_weight = 1.0}))`.
class SymmetryReward {
 public:
  using Role = RewardRole;
  using Options = SymmetryOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "symmetry";

  explicit SymmetryReward(SymmetryOptions options = {}, std::shared_ptr<const ClipModel> clip = nullptr)
      : options_(options), clip_(std::move(clip)) {
    REWARD_TUNER_CHECK(std::isfinite(options_.text_weight) && options_.text_weight >= 0,
                       "[SymmetryReward] text_weight must be finite and at least 0, got ", options_.text_weight);
    check_leak("SymmetryReward", options_.leak);
    REWARD_TUNER_CHECK(options_.floor > 0 && std::isfinite(options_.floor),
                       "[SymmetryReward] floor must be above 0, got ", options_.floor);
  }

  /// True while the text term is on and no CLIP is bound.
  bool needs_clip() const { return options_.text_weight > 0 && clip_.missing(); }

  /// Gives the CLIP of the text term.
  void bind_clip(std::shared_ptr<const ClipModel> clip) { clip_.bind(std::move(clip)); }

  const SymmetryOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    REWARD_TUNER_CHECK(!needs_clip(), "[SymmetryReward] text_weight ", options_.text_weight,
                       " expected a CLIP, got none: pass one as second argument, call bind_clip, or use a pipeline "
                       "folder that has one");
    check_reward_images(input.images, "SymmetryReward");
    const Tensor images = leaky_clamp(input.images, options_.leak);  // [B,3,H,W]
    // [B]
    const Tensor literal =
        literal_symmetry_error(options_.deviation == SymmetryDeviation::kLiteral ? images : images.detach());
    // [B]
    const Tensor error =
        options_.deviation == SymmetryDeviation::kLiteral ? literal : spatial_symmetry_error(images, options_.floor);
    RewardResult result{-error, {{"symmetry_error", literal.detach()}}};
    if (options_.text_weight > 0) {
      const RewardResult text = ClipScoreReward(clip_.get("SymmetryReward"), {.leak = options_.leak}).score(input);
      result.values = result.values + options_.text_weight * text.values;  // [B]
      result.components.emplace("clip_score", text.values.detach());
    }
    return result;
  }

 private:
  SymmetryOptions options_;
  BoundClip clip_;
};
static_assert(RewardPolicy<SymmetryReward>);

}  // namespace reward_tuner
