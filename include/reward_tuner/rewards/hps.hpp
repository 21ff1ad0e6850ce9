// HPS v2: the cosine of image and prompt in a CLIP that was trained on people's preferences (Wu et al. 2023).
#pragma once
#include <torch/types.h>

#include <memory>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/clip_vectors.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Options of HpsReward.
struct HpsOptions {
  /// whether images are resized with antialias: true is hpsv2 with torchvision 0.17 or newer, false with older ones.
  /// Scores of the two are not comparable
  bool antialias = true;
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};
REWARD_TUNER_FIELDS(HpsOptions, antialias, leak);

/// values = cos(CLIP(image), CLIP(prompt)), also reported as "hps"; about 0.2 to 0.4 with the published weights
/// (xswu/HPSv2: HPS_v2_compressed.pt, HPS_v2.1_compressed.pt, a ViT-H-14 in open_clip's layout). v2 and v2.1 differ by
/// their weights only and are not comparable; nor are images of different prompts.
/// The longer edge of an image is resized to the tower's size and black fills the square before mean and deviation, as
/// in hpsv2, which fails where the longer edge has that size already: such images are filled too.
/// Gradient: all of it reaches the images, with options.leak outside [0,1]; prompts carry none.
/// Errors: no CLIP, a leak outside [0,1], not one prompt per image. A pipeline's own CLIP has other weights, so none is
/// bound later.
/// Example: `HpsReward(ClipModel::load("hps_v2.1"))`, a folder that `script/convert_reward hps_v2.1` wrote.
class HpsReward {
 public:
  using Role = RewardRole;
  using Options = HpsOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "hps";

  explicit HpsReward(std::shared_ptr<const ClipModel> clip, HpsOptions options = {})
      : clip_(std::move(clip)), options_((check_leak("HpsReward", options.leak), options)), preprocessor_(letterbox()) {
    note("[HpsReward] images are resized ", options_.antialias ? "with" : "without", " antialias, as by torchvision ",
         options_.antialias ? "0.17 and newer" : "before 0.17", "; scores of the two are not comparable");
  }

  const ImagePreprocessor& preprocessor() const { return preprocessor_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "HpsReward");
    check_reward_prompts(input, "HpsReward");
    const Tensor values = clip_cosines(input, clip_, preprocessor_, options_.leak);  // [B]
    return {values, {{"hps", values.detach()}}};
  }

 private:
  ImagePreprocessorOptions letterbox() const {
    REWARD_TUNER_CHECK(clip_ != nullptr, "[HpsReward] expected a CLIP with HPS's weights, got none");
    ImagePreprocessorOptions o = clip_->preprocessor().options();
    o.rule = ResizeRule::kLongestEdge;
    o.edge = o.side;
    o.antialias = options_.antialias;
    return o;
  }

  std::shared_ptr<const ClipModel> clip_;
  HpsOptions options_;
  ImagePreprocessor preprocessor_;
};
static_assert(RewardPolicy<HpsReward>);

}  // namespace reward_tuner
