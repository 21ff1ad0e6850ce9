// CLIPScore: the cosine between an image's and its prompt's CLIP vectors.
#pragma once
#include <torch/types.h>

#include <memory>
#include <string_view>
#include <utility>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/clip_vectors.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// Options of ClipScoreReward.
struct ClipScoreOptions {
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};

/// values = cos(CLIP(image), CLIP(prompt)), raw, in [-1,1]; also reported as "clip_score". Any CLIP of transformers' or
/// open_clip's: OpenAI's ViT-L/14 (openai/clip-vit-large-patch14), LAION's ViT-H/14, ...
/// Images are clamped to [0,1] with options.leak and go through CLIP's own resize, crop and normalization, all
/// differentiable; prompts carry no gradient.
/// The CLIP (`ClipModel::load(folder)`) should be frozen and on the images' device. It may be bound later by
/// bind_clip, as a tuner does.
/// Errors: a leak outside [0,1]; score() without a CLIP; not one prompt per image.
class ClipScoreReward {
 public:
  using Role = RewardRole;
  using Options = ClipScoreOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "clip_score";

  explicit ClipScoreReward(std::shared_ptr<const ClipModel> clip = nullptr, ClipScoreOptions options = {})
      : clip_(std::move(clip)), options_(options) {
    check_leak("ClipScoreReward", options_.leak);
  }

  /// True while no CLIP is bound.
  bool needs_clip() const { return clip_.missing(); }

  /// Gives the CLIP.
  void bind_clip(std::shared_ptr<const ClipModel> clip) { clip_.bind(std::move(clip)); }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "ClipScoreReward");
    check_reward_prompts(input, "ClipScoreReward");
    const auto& clip = clip_.get("ClipScoreReward");
    const Tensor cosine = clip_cosines(input, clip, clip->preprocessor(), options_.leak);  // [B]
    return {cosine, {{"clip_score", cosine.detach()}}};
  }

 private:
  BoundClip clip_;
  ClipScoreOptions options_;
};
static_assert(RewardPolicy<ClipScoreReward>);

}  // namespace reward_tuner
