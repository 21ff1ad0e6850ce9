// The aesthetic score: an affine head on an image's CLIP vector, as LAION's predictors are.
#pragma once
#include <ATen/ops/matmul.h>
#include <torch/types.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/roles.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/image_preprocessor.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/clip_vectors.hpp>
#include <reward_tuner/rewards/leaky_clamp.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/takes_clip.hpp>

namespace reward_tuner {

/// score = weight . features + bias. A stack of linear layers without activations is affine, so it is folded into this
/// once, in double.
class AestheticHead {
 public:
  /// One linear layer as torch.nn.Linear stores it.
  struct Layer {
    Tensor weight;  ///< [out,in]
    Tensor bias;    ///< [out]
  };

  /// Folds layers given in the order they are applied: weight = W_n ... W_1, bias = b_n + W_n (b_(n-1) + W_(n-1)
  /// (...)).
  /// Errors: no layers, shapes that do not chain, a last layer of more than one number, values that are not finite.
  explicit AestheticHead(const std::vector<Layer>& layers) {
    REWARD_TUNER_CHECK(!layers.empty(), "[AestheticHead] expected at least one layer, got none");
    for (std::size_t i = layers.size(); i-- > 0;) {
      const Tensor &w = layers[i].weight, &b = layers[i].bias;
      const bool fits = w.defined() && b.defined() && w.dim() == 2 && b.dim() == 1 && b.size(0) == w.size(0) &&
                        w.is_floating_point() && b.is_floating_point();
      REWARD_TUNER_CHECK(fits, "[AestheticHead] layer ", i + 1, " of ", layers.size(),
                         " expected a floating point weight [out,in] and bias [out], got ", shape(w), " and ",
                         shape(b));
      const std::int64_t wanted = weight_.defined() ? weight_.size(0) : 1;
      REWARD_TUNER_CHECK(w.size(0) == wanted, "[AestheticHead] layer ", i + 1, " of ", layers.size(), " gives ",
                         w.size(0), " numbers, expected ", wanted,
                         weight_.defined() ? " as the next layer takes" : ", the score");
      // [out,in], [out]
      const Tensor matrix = w.detach().to(at::kCPU, at::kDouble), offset = b.detach().to(at::kCPU, at::kDouble);
      bias_ += weight_.defined() ? at::matmul(weight_, offset).item<double>() : offset.item<double>();
      weight_ = weight_.defined() ? at::matmul(weight_, matrix) : matrix[0].clone();  // [in]
    }
    REWARD_TUNER_CHECK(weight_.numel() > 0 && weight_.isfinite().all().item<bool>() && std::isfinite(bias_),
                       "[AestheticHead] expected finite weights, got others");
  }

  /// Reads "layers.<n>.weight" and "layers.<n>.bias" (the names of a torch.nn.Sequential called `layers`; numbers may
  /// skip, as dropouts take some) from a safetensors file, smallest number first. Errors: another name, a weight
  /// without its bias or the reverse, those of the constructor; the file is named.
  static AestheticHead load(const std::filesystem::path& path) {
    const SafetensorsFile file = SafetensorsFile::open(path);
    std::map<std::int64_t, Layer> layers;
    for (const std::string& name : file.names()) {
      const auto [number, kind] = parsed(name);
      REWARD_TUNER_CHECK(number >= 0, "[AestheticHead] '", path.string(),
                         "' expected tensors called layers.<number>.weight and layers.<number>.bias, got ", name);
      (kind == "weight" ? layers[number].weight : layers[number].bias) = file.tensor(name);
    }
    std::vector<Layer> stack;
    for (const auto& [number, layer] : layers) {
      REWARD_TUNER_CHECK(layer.weight.defined() && layer.bias.defined(), "[AestheticHead] '", path.string(),
                         "' has no layers.", number, layer.weight.defined() ? ".bias" : ".weight");
      stack.push_back(layer);
    }
    try {
      return AestheticHead(stack);
    } catch (const Error& error) {
      detail::fail(error.what(), " (in '", path.string(), "')");
    }
  }

  /// features [B,P], floating point; returns [B] in their dtype, on their device. Differentiable in the features.
  Tensor operator()(const Tensor& features) const {
    return at::matmul(features, weight_.to(features.device(), features.scalar_type())) + bias_;
  }

  /// The folded weight, double [P] on the CPU.
  const Tensor& weight() const { return weight_; }
  /// The folded bias.
  double bias() const { return bias_; }
  /// Width P of the features it takes.
  std::int64_t width() const { return weight_.size(0); }

 private:
  static std::string shape(const Tensor& x) {
    std::ostringstream text;
    if (x.defined()) text << c10::toString(x.scalar_type()) << ' ' << x.sizes();
    else text << "nothing";
    return text.str();
  }

  /// {number, "weight" or "bias"}, or {-1, ""} if the name is another.
  static std::pair<std::int64_t, std::string> parsed(const std::string& name) {
    constexpr std::string_view kPrefix = "layers.";
    const auto dot = name.rfind('.');
    if (!name.starts_with(kPrefix) || dot < kPrefix.size()) return {-1, ""};
    const std::string kind = name.substr(dot + 1);
    std::int64_t number = -1;
    const char *first = name.data() + kPrefix.size(), *last = name.data() + dot;
    const auto [end, status] = std::from_chars(first, last, number);
    if (status != std::errc() || end != last || (kind != "weight" && kind != "bias")) return {-1, ""};
    return {number, kind};
  }

  Tensor weight_;
  double bias_ = 0;
};

/// Options of AestheticReward.
struct AestheticOptions {
  double leak = kDefaultLeak;  ///< share of the gradient that passes where an image leaves [0,1], in [0,1]
};

/// values = head(CLIP(image)) on the unit vector of the image; also reported as "aesthetic". About 1 to 10 with
/// LAION's heads, which need the projected vector of CLIP ViT-L/14 (christophschuhmann/improved-aesthetic-predictor;
/// 768-1024-128-64-16-1). Images are clamped to [0,1] with options.leak and go through CLIP's own resize, crop and
/// normalization, all differentiable; a crop starts where that of OpenAI's own program does, whichever library wrote
/// the CLIP's folder. The CLIP may be bound later by bind_clip, as a tuner does. Errors: a leak out of range; a CLIP of
/// another width; score() without a CLIP.
/// Example: `AestheticReward(AestheticHead::load("aesthetic.safetensors"), ClipModel::load(folder))`.
class AestheticReward {
 public:
  using Role = RewardRole;
  using Options = AestheticOptions;
  static constexpr bool kDifferentiable = true;
  static constexpr bool kPerGroup = false;
  static constexpr std::string_view kName = "aesthetic";

  explicit AestheticReward(AestheticHead head, std::shared_ptr<const ClipModel> clip = nullptr,
                           AestheticOptions options = {})
      : head_(std::move(head)), options_(options), clip_(nullptr) {
    check_leak("AestheticReward", options_.leak);
    if (clip != nullptr) bind_clip(std::move(clip));
  }

  /// True while no CLIP is bound.
  bool needs_clip() const { return clip_.missing(); }

  /// Gives the CLIP. Errors: one whose vectors are of another width than the head takes.
  void bind_clip(std::shared_ptr<const ClipModel> clip) {
    REWARD_TUNER_CHECK(clip == nullptr || clip->config().projection_dim == head_.width(),
                       "[AestheticReward] the head takes vectors of ", head_.width(), " numbers, the CLIP gives ",
                       clip->config().projection_dim);
    clip_.bind(std::move(clip));
  }

  const AestheticHead& head() const { return head_; }

  /// The CLIP's, with OpenAI's start of a crop.
  ImagePreprocessor preprocessor() const {
    ImagePreprocessorOptions image = clip_.get("AestheticReward")->preprocessor().options();
    image.crop_start = CropStart::kHalfToEven;
    return ImagePreprocessor(image);
  }

  /// See the class comment.
  RewardResult score(const RewardInput& input) const {
    check_reward_images(input.images, "AestheticReward");
    const auto& clip = clip_.get("AestheticReward");
    const Tensor values = head_(clip_image_vectors(input, clip, preprocessor(), options_.leak));  // [B]
    return {values, {{"aesthetic", values.detach()}}};
  }

 private:
  AestheticHead head_;
  AestheticOptions options_;
  BoundClip clip_;
};

static_assert(RewardPolicy<AestheticReward>);

}  // namespace reward_tuner
