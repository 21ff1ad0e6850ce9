// Objectness: how surely OWL-ViT finds one thing anywhere in the image (DRTune paper, section 4.1).
#pragma once
#include <torch/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/owl_vectors.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Options of ObjectnessReward.
struct ObjectnessOptions {
  std::string query = "";      ///< what to look for in every image ("a photo of a book"); empty: the image's prompt
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};
REWARD_TUNER_FIELDS(ObjectnessOptions, query, leak);

/// values = max over the boxes of sigmoid(logit of the query), in [0,1]; also reported as "objectness". A negative
/// weight in a sum removes the thing, as DRTune does. Queries lose what is beyond 16 tokens, the tower's length. Images
/// are clamped to [0,1] with options.leak.
/// Gradient: reaches the images from the one box with the largest probability.
/// Cost: one pass of the image tower for all rewards of this network (shared_model) on the same images.
/// Errors: a leak outside [0,1]; no network; without a query, not one prompt an image.
/// Example: `ObjectnessReward(OwlVitModel::load("owlvit-base-patch32"), {.query = "a photo of a book"})`.
class ObjectnessReward {
 public:
  using Role = RewardRole;
  using Options = ObjectnessOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "objectness";

  /// The network should be frozen and on the images' device.
  explicit ObjectnessReward(std::shared_ptr<const OwlVitModel> owl, ObjectnessOptions options = {})
      : owl_(std::move(owl)), options_(std::move(options)) {
    check_leak("ObjectnessReward", options_.leak);
    REWARD_TUNER_CHECK(owl_ != nullptr, "[ObjectnessReward] expected an OWL-ViT, got none");
  }

  const ObjectnessOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "ObjectnessReward");
    if (options_.query.empty()) check_reward_prompts(input, "ObjectnessReward");
    const Tensor patches = owl_patches(input, owl_, options_.leak);                      // [B,N,W]
    const Tensor values = owl_->logits(patches, queries(input)).amax({1, 2}).sigmoid();  // [B]
    return {values, {{"objectness", values.detach()}}};
  }

 private:
  /// [1,1,D] or [B,1,D].
  Tensor queries(const RewardInput& input) const {
    return options_.query.empty() ? owl_queries(input, owl_, input.prompts).transpose(0, 1)
                                  : owl_queries(input, owl_, {options_.query});
  }

  std::shared_ptr<const OwlVitModel> owl_;
  ObjectnessOptions options_;
};
static_assert(RewardPolicy<ObjectnessReward>);

}  // namespace reward_tuner
