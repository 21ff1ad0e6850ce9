// Composition: how surely OWL-ViT finds each object that a prompt names (LSRL paper, Eq. 13, with an open vocabulary).
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/fill_in.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/named_objects.hpp>
#include <reward_tuner/rewards/owl_vectors.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

/// Which objects of its list CompositionReward looks for in an image.
enum class ObjectChoice {
  kNamed,  ///< those that the image's prompt names, see named_objects
  kAll,    ///< all of them, whatever the prompt
};

/// Options of CompositionReward.
struct CompositionOptions {
  std::vector<std::string> objects = coco_objects();  ///< names of objects
  ObjectChoice choice = ObjectChoice::kNamed;         ///< which of them an image is asked for
  std::string query = "a photo of a {}";  ///< what OWL-ViT is asked, each {} being the name; its own prompt by default
  double leak = kDefaultLeak;             ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};
REWARD_TUNER_FIELDS(CompositionOptions, objects, choice, query, leak);

/// values = 1/|o| sum over the image's objects o of d(o), in [0,1]; d(o) is the largest box probability of the object's
/// query. Also reported as "object_composition", and the smallest d(o) as "least_confidence". Colors, numbers and
/// places are not judged; an object named twice counts once. Images are clamped to [0,1] with options.leak.
/// Gradient: reaches the images from one box of each object.
/// Cost: one pass of the image tower for all objects and all rewards of this network (shared_model) on the same images,
/// one of the text tower over the objects of the batch.
/// Errors: no network; no objects, a query without {}, a leak outside [0,1]; not one prompt an image; with kNamed, a
/// prompt that names none of the objects.
class CompositionReward {
 public:
  using Role = RewardRole;
  using Options = CompositionOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "object_composition";

  /// The network should be frozen and on the images' device.
  explicit CompositionReward(std::shared_ptr<const OwlVitModel> owl, CompositionOptions options = {})
      : owl_(std::move(owl)), options_(std::move(options)) {
    check_leak("CompositionReward", options_.leak);
    REWARD_TUNER_CHECK(owl_ != nullptr, "[CompositionReward] expected an OWL-ViT, got none");
    REWARD_TUNER_CHECK(!options_.objects.empty(), "[CompositionReward] expected names of objects, got none");
    REWARD_TUNER_CHECK(options_.query.find("{}") != std::string::npos,
                       "[CompositionReward] expected a query with {} where the object's name goes, got '",
                       options_.query, "'");
  }

  const CompositionOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "CompositionReward");
    check_reward_prompts(input, "CompositionReward");
    const auto [names, asked] = objects(input);
    const Tensor patches = owl_patches(input, owl_, options_.leak);                            // [B,N,W]
    const Tensor confidence = owl_->logits(patches, queries(input, names)).amax(1).sigmoid();  // [B,Q]
    const Tensor wanted = beside(confidence, asked.to(confidence.scalar_type()));              // [B,Q]
    const Tensor values = (confidence * wanted).sum(1) / wanted.sum(1);                        // [B]
    const Tensor least = confidence.detach().masked_fill(wanted == 0, 1).amin(1);              // [B]
    return {values, {{"object_composition", values.detach()}, {"least_confidence", least}}};
  }

 private:
  /// The names that the batch is asked for, and which of them each image: 0 or 1 [B,Q].
  std::pair<std::vector<std::string>, Tensor> objects(const RewardInput& input) const {
    std::vector<std::vector<std::string>> own;
    std::vector<std::string> all;
    for (const std::string& prompt : input.prompts) {
      own.push_back(options_.choice == ObjectChoice::kAll ? options_.objects : named_objects(prompt, options_.objects));
      REWARD_TUNER_CHECK(!own.back().empty(), "[CompositionReward] expected a prompt that names one of the ",
                         options_.objects.size(), " objects, got '", prompt,
                         "': give CompositionOptions::objects, or ask all images for all of them (kAll)");
      for (const std::string& name : own.back())
        if (std::ranges::find(all, name) == all.end()) all.push_back(name);
    }
    std::vector<double> asked;
    for (const auto& names : own)
      for (const std::string& name : all) asked.push_back(std::ranges::find(names, name) == names.end() ? 0 : 1);
    const auto columns = static_cast<std::int64_t>(all.size());
    return {all, at::tensor(asked, at::kDouble).view({-1, columns})};
  }

  /// [1,Q,D]
  Tensor queries(const RewardInput& input, const std::vector<std::string>& names) const {
    std::vector<std::string> texts;
    for (const std::string& name : names) texts.push_back(fill_in(options_.query, "{}", name));
    return owl_queries(input, owl_, texts);
  }

  std::shared_ptr<const OwlVitModel> owl_;
  CompositionOptions options_;
};
static_assert(RewardPolicy<CompositionReward>);

}  // namespace reward_tuner
