// The inception score: how sure each image's class is, and how many classes a set of images spreads over. A
// metric of diversity.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/rewards/check_result.hpp>

namespace reward_tuner {

/// IS = exp(mean_x KL(p(y|x) || p(y))), B2-DiffuRL paper Eq. 9, with p(y|x) = softmax(features_x / temperature) and
/// p(y) its mean over the N images. features [N,K]: a classifier's logits, or raw features of an encoder, whose K
/// numbers then stand for labels. Computed in double. 1 <= IS <= min(N,K): 1 if all images have the same p(y|x), K if
/// each is sure of its class and the classes are even. It grows with N: compare equal N only. Errors: not floating
/// point [N,K] with N and K >= 1, numbers that are not finite, a temperature that is not positive.
inline double inception_score(const Tensor& features, double temperature = 1) {
  REWARD_TUNER_CHECK(
      features.defined() && features.dim() == 2 && features.numel() > 0 && features.is_floating_point(),
      "[inception_score] expected floating point features [N,K] of at least one image and one label, got ",
      features.defined() ? features.dtype().name() : "an undefined tensor", " of shape ",
      features.defined() ? features.sizes() : at::IntArrayRef());
  REWARD_TUNER_CHECK(temperature > 0 && std::isfinite(temperature),
                     "[inception_score] expected a temperature > 0, got ", temperature);
  const at::NoGradGuard no_grad;
  const Tensor logits = features.to(at::kDouble) / temperature;  // [N,K]
  REWARD_TUNER_CHECK(logits.isfinite().all().item<bool>(),
                     "[inception_score] expected finite features, got infinities or NaN");
  const Tensor log_each = at::log_softmax(logits, 1);  // [N,K] log p(y|x)
  // [K]   log p(y)
  const Tensor log_all = at::logsumexp(log_each, {0}) - std::log(static_cast<double>(logits.size(0)));
  const Tensor divergence = (log_each.exp() * (log_each - log_all)).sum(1);  // [N]   KL
  return std::exp(std::max(0.0, divergence.mean().item<double>()));  // rounding may leave a sum of nothing below 0
}

/// The inception score of images [N,3,H,W], clamped to [0,1], by the raw image vectors of a CLIP, as the B2-DiffuRL
/// paper takes CLIP's image encoder for the classifier (App. F.2; which labels it used is not said). Cost: one
/// encoding per image, 64 at a time.
/// Example: `inception_score(images, *clip)`. Errors: as above, and images that are not [N,3,H,W].
inline double inception_score(const Tensor& images, const ClipModel& clip, double temperature = 1) {
  check_reward_images(images, "inception_score");
  REWARD_TUNER_CHECK(images.size(0) > 0, "[inception_score] expected at least one image, got none");
  const at::NoGradGuard no_grad;
  std::vector<Tensor> parts;
  for (const Tensor& some : images.split(64)) parts.push_back(clip.image_embeddings(some.clamp(0, 1)));  // [n,P]
  return inception_score(at::cat(parts), temperature);
}

}  // namespace reward_tuner
