// ImageReward: a head on BLIP trained on people's rankings of images of one prompt (Xu et al. 2023).
#pragma once
#include <torch/types.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/files/weights_source.hpp>
#include <reward_tuner/models/blip.hpp>
#include <reward_tuner/models/shared_model.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace reward_tuner {

/// Options of ImageReward.
struct ImageRewardOptions {
  double leak = kDefaultLeak;             ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
  double mean = 0.16717362830052426;      ///< taken off the head's value: its mean in the published code
  double deviation = 1.0333394966054072;  ///< the rest is divided by it, above 0: its deviation in the published code
};
REWARD_TUNER_FIELDS(ImageRewardOptions, leak, mean, deviation);

/// values = (head(BLIP(image, prompt)) - mean) / deviation, about -2.3 to 2; also reported as "image_reward". The head
/// is the published one, 768-1024-128-64-16-1 without activations, so it is folded to one vector, on the state of the
/// text's first token. Follows ImageReward 1.0 (THUDM): text of 35 tokens, image at 224 pixels.
/// Images are clamped to [0,1] with options.leak.
/// Gradient: reaches the images through resize, crop and both encoders.
/// Errors: a leak out of range, a deviation that is not positive; a head for another width than BLIP's; not one prompt
/// an image.
/// Example: `ImageReward::load("image_reward")`, the folder that `script/convert_reward image_reward` writes.
class ImageReward {
 public:
  using Role = RewardRole;
  using Options = ImageRewardOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "image_reward";

  /// BLIP should be frozen and on the images' device.
  ImageReward(std::shared_ptr<const BlipModel> blip, AestheticHead head, ImageRewardOptions options = {})
      : blip_(std::move(blip)), head_(std::move(head)), options_(options) {
    check_leak("ImageReward", options_.leak);
    REWARD_TUNER_CHECK(std::isfinite(options_.mean), "[ImageReward] expected a finite mean, got ", options_.mean);
    REWARD_TUNER_CHECK(options_.deviation > 0 && std::isfinite(options_.deviation),
                       "[ImageReward] expected a deviation above 0, got ", options_.deviation);
    REWARD_TUNER_CHECK(blip_ != nullptr, "[ImageReward] expected a BLIP, got none");
    REWARD_TUNER_CHECK(head_.width() == blip_->config().text.hidden_size,
                       "[ImageReward] expected a head that takes states of ", blip_->config().text.hidden_size,
                       " numbers, as BLIP gives, got one for ", head_.width());
  }

  /// BLIP and head of a folder with config.json, model.safetensors and the tokenizer; see BlipModel::load. Rewards of
  /// one folder hold one BLIP (shared_model).
  static ImageReward load(const std::filesystem::path& folder, ImageRewardOptions options = {},
                          at::Device device = at::kCPU) {
    const auto blip = shared_model<BlipModel>(folder, device);
    return {blip, head(find_weights(folder, kTransformersWeights).open(), blip->config().head), options};
  }

  /// The layers mlp.layers.<n> of ImageReward's file. Errors: none; others than `said`, the outputs of each by
  /// BlipConfig::head, if it says any.
  static AestheticHead head(const WeightsSource& source, const std::vector<std::int64_t>& said) {
    constexpr std::string_view kPrefix = "mlp.layers.";
    std::map<std::int64_t, AestheticHead::Layer> layers;
    for (const std::string& name : source.names()) {
      if (!name.starts_with(kPrefix)) continue;
      std::int64_t number = -1;
      const char *first = name.data() + kPrefix.size(), *last = name.data() + name.size();
      const auto [end, status] = std::from_chars(first, last, number);
      const std::string_view kind(end, static_cast<std::size_t>(last - end));
      REWARD_TUNER_CHECK(status == std::errc() && (kind == ".weight" || kind == ".bias"), "[ImageReward] ",
                         source.where(), ": expected mlp.layers.<number>.weight and .bias, got ", name);
      (kind == ".weight" ? layers[number].weight : layers[number].bias) = source.tensor(name);
    }
    REWARD_TUNER_CHECK(!layers.empty(), "[ImageReward] expected the head, tensors called mlp.layers.*, in ",
                       source.where(), ", got none");
    std::vector<AestheticHead::Layer> stack;
    std::vector<std::int64_t> outputs;
    for (const auto& [number, layer] : layers) {
      stack.push_back(layer);
      outputs.push_back(layer.bias.defined() ? layer.bias.size(0) : 0);
    }
    REWARD_TUNER_CHECK(said.empty() || said == outputs, "[ImageReward] ", source.where(),
                       ": expected a head of layers with ", at::IntArrayRef(said),
                       " outputs, as config.json says, got ", at::IntArrayRef(outputs));
    return AestheticHead(stack);
  }

  const BlipModel& blip() const { return *blip_; }

  const ImageRewardOptions& options() const { return options_; }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "ImageReward");
    check_reward_prompts(input, "ImageReward");
    const Tensor state = blip_->joint_state(leaky_clamp(input.images, options_.leak), input.prompts);  // [B,D]
    const Tensor values = (head_(state) - options_.mean) / options_.deviation;                         // [B]
    return {values, {{"image_reward", values.detach()}}};
  }

 private:
  std::shared_ptr<const BlipModel> blip_;
  AestheticHead head_;
  ImageRewardOptions options_;
};
static_assert(RewardPolicy<ImageReward>);

}  // namespace reward_tuner
