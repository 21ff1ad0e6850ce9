// From the clean latents to the reward and its gradient: decode, score, and back through both, a few images at a
// time.
#pragma once
#include <ATen/ops/cat.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/clean_samples.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/rewards/check_result.hpp>
#include <reward_tuner/rewards/reward_result.hpp>
#include <reward_tuner/rewards/shared_vectors.hpp>
#include <reward_tuner/tensor/out_of_memory.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

/// What scoring a micro-batch gave.
struct RewardGradient {
  Tensor gradient = {};         // d(sum of losses)/dclean [B,C,h,w]; undefined if a number was not finite
  double reward = 0, loss = 0;  // sums over the samples
  std::map<std::string, double> components = {};  // sums over the samples
  TowerCounts towers = {};                        // of the reward's image towers
  std::string skip_reason = {};                   // what was not finite
};

namespace detail {

/// The reward's answer to images that carry a gradient, checked; its towers are added to `towers`.
template <RewardPolicy Reward>
RewardResult scored(const Reward& reward, const RewardInput& input, TowerCounts& towers) {
  const UnchangedInput unchanged(input);
  RewardResult result;
  const StageScope stage(Stage::kReward);
  try {
    result = reward.score(input);
  } catch (const std::exception& e) {
    if (is_out_of_memory(e)) throw;  // no fault of the reward
    fail("[RewardPolicy] the reward ", reward_name(reward), " threw: ", e.what());
  }
  unchanged.check(reward_name(reward));
  towers.add(input.vectors->counts());
  const auto batch = input.images.size(0);
  REWARD_TUNER_CHECK(result.values.defined() && result.values.dim() == 1 && result.values.size(0) == batch,
                     "[RewardPolicy] the reward ", reward_name(reward), " must return [", batch, "] values, got ",
                     result.values.defined() ? result.values.sizes() : at::IntArrayRef());
  REWARD_TUNER_CHECK(!result.failed.defined() || !result.failed.any().item<bool>(), "[RewardPolicy] the reward ",
                     reward_name(reward),
                     " has no score for some images: expected one of each, since its gradient is "
                     "what is trained on, got ",
                     result.failed.sum().item<std::int64_t>(), " without of ", batch);
  REWARD_TUNER_CHECK(result.values.requires_grad(), "[RewardPolicy] the reward ", reward_name(reward),
                     " says it is differentiable, but its values carry no gradient");
  return result;
}

}  // namespace detail

/// Decodes B samples, scores the images and differentiates sum_i loss(r_i), `loss` being [B] -> [B]. `chunk` images are
/// decoded at a time, so that the decoder's activations are those of a chunk. A reward of each image alone is scored
/// and differentiated with its chunk; one of the whole group (per_group) is scored on all images at once, and each
/// chunk is decoded a second time for its backward.
template <DiffusionPipeline Pipeline, RewardPolicy Reward, class Loss>
RewardGradient reward_gradient(Pipeline& pipeline, const Reward& reward, const CleanSamples& samples, Loss loss,
                               std::int64_t chunk) {
  RewardGradient out;
  const Tensor& clean = samples.clean;  // [B,C,h,w]
  const std::int64_t batch = samples.size();
  chunk = chunk > 0 ? std::min(chunk, batch) : batch;
  std::vector<Tensor> gradients;
  const auto gradients_of = [](const Tensor& y, const std::vector<Tensor>& x, const Tensor& cotangent) {
    const StageScope stage(Stage::kBackward);
    return torch::autograd::grad({y}, x, {cotangent}, /*retain_graph=*/false, /*create_graph=*/false,
                                 /*allow_unused=*/true);
  };
  /// d(sum of losses)/dleaf of a scored part for each leaf, undefined where the reward does not read it, with its
  /// numbers added up; nothing when something was not finite.
  const auto differentiate = [&](const RewardResult& result, const std::vector<Tensor>& leaves) {
    const Tensor losses = loss(result.values);  // [b]
    out.reward += result.values.detach().to(at::kDouble).sum().template item<double>();
    out.loss += losses.detach().to(at::kDouble).sum().template item<double>();
    for (const auto& [name, values] : result.components)
      out.components[name] += values.detach().to(at::kDouble).sum().template item<double>();
    if (!std::isfinite(out.reward)) {
      out.skip_reason = "the reward is not finite";
      return std::vector<Tensor>();
    }
    std::vector<Tensor> on_leaves = gradients_of(losses.sum(), leaves, {});
    REWARD_TUNER_CHECK(
        std::any_of(on_leaves.begin(), on_leaves.end(), [](const Tensor& gradient) { return gradient.defined(); }),
        "[RewardPolicy] the reward ", reward_name(reward),
        " says it is differentiable, but its values do not depend on the images");
    return on_leaves;
  };
  const torch::AutoGradMode grad(true);
  if (per_group(reward) && chunk < batch) {
    std::vector<Tensor> parts;
    {
      const torch::NoGradGuard no_grad;
      for (std::int64_t begin = 0; begin < batch; begin += chunk)
        parts.push_back(pipeline.decode(clean.narrow(0, begin, std::min(chunk, batch - begin))));
    }
    const Tensor images = at::cat(parts).requires_grad_();   // [B,3,H,W]
    const Tensor latents = clean.detach().requires_grad_();  // [B,C,h,w] what the reward reads of them itself
    const auto on_both =
        differentiate(detail::scored(reward, samples.input(images, latents, 0), out.towers), {images, latents});
    if (on_both.empty()) return out;
    const Tensor &on_images = on_both[0], &on_latents = on_both[1];  // [B,3,H,W], [B,C,h,w]
    for (std::int64_t begin = 0; begin < batch && on_images.defined(); begin += chunk) {
      const std::int64_t size = std::min(chunk, batch - begin);
      const Tensor part = clean.narrow(0, begin, size).detach().requires_grad_();  // [b,C,h,w]
      gradients.push_back(gradients_of(pipeline.decode(part), {part}, on_images.narrow(0, begin, size))[0]);
    }
    if (!on_images.defined()) gradients.push_back(on_latents);
    else if (on_latents.defined()) gradients = {at::cat(gradients) + on_latents};
  } else {
    for (std::int64_t begin = 0; begin < batch; begin += chunk) {
      const std::int64_t size = std::min(chunk, batch - begin);
      const Tensor latents = clean.narrow(0, begin, size).detach().requires_grad_();  // [b,C,h,w]
      const Tensor images = pipeline.decode(latents);                                 // [b,3,H,W]
      const auto on_latents =
          differentiate(detail::scored(reward, samples.input(images, latents, begin), out.towers), {latents});
      if (on_latents.empty()) return out;
      gradients.push_back(on_latents[0]);
    }
  }
  const Tensor gradient = gradients.size() == 1 ? gradients[0] : at::cat(gradients);  // [B,C,h,w]
  if (gradient.isfinite().all().template item<bool>()) out.gradient = gradient;
  else out.skip_reason = "the gradient of the reward is not finite";
  return out;
}

}  // namespace reward_tuner
