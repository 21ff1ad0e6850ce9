// Continued pre-training: the denoising loss on captioned images, in addition to the reward.
#pragma once
#include <ATen/ops/tensor.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/core/option_fields.hpp>
#include <reward_tuner/models/denoising_errors.hpp>
#include <reward_tuner/regularizers/captioned_image_source.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

/// When the pre-training loss is minimized.
enum class PretrainingMode {
  kJoint,  ///< one optimizer step on the sum of both losses (ReFL: ImageReward paper Eq. 5)
  /// a step on the reward, then a step of its own (ReFL's SDXL code; large-scale RL paper, Alg. 1). Both steps share
  /// the optimizer's moments: of two gradients of different size the smaller one's steps are shorter under Adam, so the
  /// weight counts
  kAlternating,
};

/// The images of PretrainingLoss, its weight, and when it is descended.
struct PretrainingLossOptions {
  std::shared_ptr<const CaptionedImageSource> images = nullptr;  ///< the data; nullptr switches the loss off
  double weight = 1.0;                                   ///< beta, factor relative to the reward's loss, >= 0; 0: off
  int batch = 8;                                         ///< images per update, >= 1
  PretrainingMode mode = PretrainingMode::kAlternating;  ///< see PretrainingMode
  /// probability with which a caption is replaced by the empty prompt, in [0, 1]; it keeps the unconditional half of
  /// guidance trained (Ho & Salimans 2022, section 5; Stable Diffusion's own training: 0.1)
  double dropout = 0.1;
};
REWARD_TUNER_FIELDS(PretrainingLossOptions, images, weight, batch, mode, dropout);

/// L_pre = weight * E || target - network(alpha_t*z + sigma_t*e, t, caption) ||^2, z the mean latent of an image, e ~
/// N(0,I), t uniform over the training timesteps, the caption empty with probability `dropout`; target e, v, z or
/// e - z as the network predicts (Ho et al. 2020, Eq. 14; Salimans & Ho 2022, appendix D; rectified flow, Liu et al.
/// 2023, Eq. 1). A mean over elements. No guidance.
/// Costs one network forward and backward of `batch` rows an update and one encoder pass. Gradient: to the network's
/// trainable weights.
/// Errors: options out of range; a pipeline without encode_images; images whose latents are not of the pipeline's
/// size.
class PretrainingLoss {
 public:
  using Role = RegularizerRole;
  using Options = PretrainingLossOptions;
  static constexpr std::string_view kName = "pretraining_loss";
  static constexpr bool kNeedsReference = false;

  explicit PretrainingLoss(PretrainingLossOptions options = {}) : options_(std::move(options)) {
    REWARD_TUNER_CHECK(std::isfinite(options_.weight) && options_.weight >= 0,
                       "[PretrainingLoss] weight must be finite and >= 0, got ", options_.weight);
    REWARD_TUNER_CHECK(options_.batch >= 1, "[PretrainingLoss] batch must be >= 1, got ", options_.batch);
    REWARD_TUNER_CHECK(options_.dropout >= 0 && options_.dropout <= 1,
                       "[PretrainingLoss] dropout must be in [0, 1], got ", options_.dropout);
  }
  double weight() const { return options_.weight; }
  const PretrainingLossOptions& options() const { return options_; }
  /// Whether the loss gets an optimizer step of its own.
  bool alternates() const { return options_.mode == PretrainingMode::kAlternating; }

  /// Images in a network call of `own_loss`.
  std::int64_t own_rows() const { return options_.batch; }

  /// The weighted loss of one random batch, a scalar with its graph; undefined if it is switched off.
  template <class Pipeline>
  Tensor own_loss(Pipeline& pipeline, Rng& rng) const {
    if (!options_.images || options_.weight == 0) return {};
    std::vector<std::int64_t> rows, times;
    std::vector<std::string> captions;
    const NoiseSchedule& noise = pipeline.noise_schedule();
    const auto batch = static_cast<std::int64_t>(options_.batch);
    for (std::int64_t i = 0; i < batch; ++i) {
      rows.push_back(rng.integer(0, options_.images->size() - 1));
      times.push_back(rng.integer(0, noise.config().num_train_steps - 1));
      const bool dropped = rng.uniform() < options_.dropout;
      captions.push_back(dropped ? std::string() : options_.images->captions()[static_cast<std::size_t>(rows.back())]);
    }
    const at::TensorOptions like = pipeline.latent_options();
    Tensor latents;  // [B,C,h,w]
    {
      const torch::NoGradGuard no_grad;
      const Tensor images = options_.images->images(at::tensor(rows)).to(like.dtype().toScalarType());
      latents = encode(pipeline, to_device(images, like.device()));
    }
    REWARD_TUNER_CHECK(latents.sizes() == at::IntArrayRef(pipeline.latent_shape(batch)),
                       "[PretrainingLoss] expected images whose latents are ",
                       at::IntArrayRef(pipeline.latent_shape(batch)), ", got images whose latents are ",
                       latents.sizes());
    const Tensor e = rng.normal(latents.sizes(), like);  // [B,C,h,w]
    return options_.weight * denoising_errors(pipeline, latents, times, e, pipeline.encode(captions).positive).mean();
  }

 private:
  template <class Pipeline>
  static Tensor encode(Pipeline& pipeline, const Tensor& images) {
    constexpr bool kEncodes = requires { pipeline.encode_images(images); };
    static_assert(kEncodes, "[PretrainingLoss] needs a pipeline with Tensor encode_images(const Tensor& images)");
    if constexpr (kEncodes) return pipeline.encode_images(images);  // [B,C,h,w]
    else return {};
  }

  PretrainingLossOptions options_;
};
static_assert(RegularizerPolicy<PretrainingLoss>);

}  // namespace reward_tuner
