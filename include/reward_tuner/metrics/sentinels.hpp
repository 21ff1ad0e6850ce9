// Cheap image statistics that reveal reward hacking: flat, glowing, noisy or equal images. No gradient.
#pragma once
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/cdist.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/scatter_add.h>
#include <ATen/ops/where.h>
#include <ATen/ops/xlogy.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/types.h>

#include <cmath>
#include <map>
#include <string>

#include <reward_tuner/rewards/check_result.hpp>

namespace reward_tuner {

namespace detail {

inline Tensor sentinel_images(const Tensor& images) {
  check_reward_images(images, "Sentinels");
  return images.detach().to(images.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).clamp(0, 1);  // [B,3,H,W]
}

}  // namespace detail

/// Share of pixels whose brightness (0.299 R + 0.587 G + 0.114 B) differs by more than `threshold` from the right or
/// the lower neighbor. images [B,3,H,W], clamped to [0,1]; returns [B] in [0,1].
/// A pixel without a right or a lower neighbor is compared with the other one only.
inline Tensor edge_density(const Tensor& images, double threshold = 0.1) {
  const Tensor x = detail::sentinel_images(images);                                              // [B,3,H,W]
  const Tensor luma = 0.299 * x.select(1, 0) + 0.587 * x.select(1, 1) + 0.114 * x.select(1, 2);  // [B,H,W]
  Tensor edge = at::zeros_like(luma, at::kBool);                                                 // [B,H,W]
  const std::int64_t height = luma.size(1), width = luma.size(2);
  // [B,H,W-1]
  edge.narrow(2, 0, width - 1)
      .logical_or_((luma.narrow(2, 1, width - 1) - luma.narrow(2, 0, width - 1)).abs() > threshold);
  // [B,H-1,W]
  edge.narrow(1, 0, height - 1)
      .logical_or_((luma.narrow(1, 1, height - 1) - luma.narrow(1, 0, height - 1)).abs() > threshold);
  return edge.to(x.scalar_type()).mean({1, 2});  // [B]
}

/// Entropy in bits of the image's color histogram with 4 levels a channel (64 bins). images [B,3,H,W], clamped;
/// returns [B] in [0,6]; 0 is one flat color.
inline Tensor color_entropy(const Tensor& images) {
  const Tensor x = detail::sentinel_images(images);                                                       // [B,3,H,W]
  const Tensor level = (x * 4).floor().clamp_max(3).to(at::kLong);                                        // [B,3,H,W]
  const Tensor bin = (level.select(1, 0) * 16 + level.select(1, 1) * 4 + level.select(1, 2)).flatten(1);  // [B,HW]
  const Tensor share = at::full_like(bin, 1.0 / static_cast<double>(bin.size(1)), x.options());           // [B,HW]
  const Tensor histogram = at::zeros({x.size(0), 64}, x.options()).scatter_add(1, bin, share);            // [B,64]
  return -at::xlogy(histogram, histogram).sum(1) / std::log(2.0);                                         // [B]
}

/// Mean HSV saturation (max - min) / max over the pixels (0 where black). images [B,3,H,W], clamped; returns [B] in
/// [0,1].
inline Tensor saturation(const Tensor& images) {
  const Tensor x = detail::sentinel_images(images);                                                     // [B,3,H,W]
  const Tensor high = at::amax(x, 1), low = at::amin(x, 1);                                             // [B,H,W]
  return at::where(high > 0, (high - low) / high.clamp_min(1e-12), at::zeros_like(high)).mean({1, 2});  // [B]
}

/// Spatial standard deviation: root of the channel mean of each channel's (unbiased) variance over the pixels; the
/// denominator of the spatial symmetry error without its floor. images [B,3,H,W], clamped; returns [B] in [0, about
/// 0.5]; 0 is a flat image of any color.
inline Tensor spatial_deviation(const Tensor& images) {
  return detail::sentinel_images(images).var({2, 3}).mean(1).sqrt();  // [B]
}

/// Mean root-mean-square pixel distance over all unordered pairs of the batch. images [B,3,H,W], clamped; returns 0-d
/// in [0,1]; 0 when all images are equal and also for a batch of one, which has no pair.
inline Tensor pairwise_diversity(const Tensor& images) {
  const Tensor x = detail::sentinel_images(images).flatten(1);  // [B,3HW]
  const std::int64_t batch = x.size(0);
  if (batch < 2) return at::zeros({}, x.options());
  // compute mode 2: plain differences, since the matrix-product form cannot tell equal images from nearly equal ones
  const Tensor distance = at::cdist(x, x, 2.0, 2) / std::sqrt(static_cast<double>(x.size(1)));  // [B,B]
  return distance.sum() / static_cast<double>(batch * (batch - 1));                             // 0-d
}

/// Share of images whose spatial deviation is below `threshold`. images [B,3,H,W]; returns 0-d in [0,1].
inline Tensor blank_share(const Tensor& images, double threshold = 0.02) {
  const Tensor deviation = spatial_deviation(images);                 // [B]
  return (deviation < threshold).to(deviation.scalar_type()).mean();  // 0-d
}

/// All sentinels of a batch by name, averaged over the images: "edge_density", "color_entropy", "saturation",
/// "spatial_deviation", "pairwise_diversity", "blank_share".
inline std::map<std::string, double> sentinels(const Tensor& images) {
  return {{"edge_density", edge_density(images).mean().item<double>()},
          {"color_entropy", color_entropy(images).mean().item<double>()},
          {"saturation", saturation(images).mean().item<double>()},
          {"spatial_deviation", spatial_deviation(images).mean().item<double>()},
          {"pairwise_diversity", pairwise_diversity(images).item<double>()},
          {"blank_share", blank_share(images).item<double>()}};
}

}  // namespace reward_tuner
