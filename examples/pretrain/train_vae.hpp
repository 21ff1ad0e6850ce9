// Trains the image autoencoder on the shape images, then makes its latents zero-mean and unit-variance in every
// channel.
#pragma once
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/max_pool2d.h>
#include <torch/types.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <examples/pretrain/shape_images.hpp>
#include <examples/pretrain/tiny_models.hpp>
#include <examples/pretrain/training_run.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/initialize.hpp>

namespace reward_tuner::pretrain {

namespace detail {

/// Channels that carry color c through the untrained network: +x, -x and two constants in a group of their own, so
/// that the group's normalization keeps the color's size and silu(x) - silu(-x) = x brings it back unchanged.
inline std::int64_t color_channel(std::int64_t color, std::int64_t role, std::int64_t width, std::int64_t groups) {
  return color * (width / groups) + role;
}

/// Makes a convolution hand the color channels on: each tap in rows [0, taps) x columns [0, taps) from `first` carries
/// an equal share.
inline void pass_colors(Conv2d& conv, std::int64_t groups, std::int64_t first, std::int64_t taps) {
  const std::int64_t out = conv.weight.size(0), in = conv.weight.size(1);
  for (std::int64_t color = 0; color < 3; ++color)
    for (std::int64_t role = 0; role < 4; ++role) {
      Tensor row = conv.weight[color_channel(color, role, out, groups)];  // [in,k,k]
      row.zero_();
      // [taps,taps]
      Tensor square =
          row[color_channel(color, role, in, groups)].slice(0, first, first + taps).slice(1, first, first + taps);
      square.fill_(1.0 / static_cast<double>(taps * taps));
      conv.bias[color_channel(color, role, out, groups)].zero_();
    }
}

/// The first convolution of a half: spreads three colors over their channels.
inline void spread_colors(Conv2d& conv, std::int64_t groups) {
  constexpr double kConstant = 1.5;
  for (std::int64_t color = 0; color < 3; ++color)
    for (std::int64_t role = 0; role < 4; ++role) {
      const std::int64_t channel = color_channel(color, role, conv.weight.size(0), groups);
      conv.weight[channel].zero_();
      if (role < 2) conv.weight[channel][color][1][1].fill_(role == 0 ? 1.0 : -1.0);
      conv.bias[channel].fill_(role < 2 ? 0.0 : role == 2 ? kConstant : -kConstant);
    }
}

/// The last convolution of a half: collects three colors from their channels.
inline void collect_colors(Conv2d& conv, std::int64_t groups) {
  for (std::int64_t color = 0; color < 3; ++color) {
    conv.weight[color].zero_();
    conv.bias[color].zero_();
    for (std::int64_t role = 0; role < 2; ++role)
      conv.weight[color][color_channel(color, role, conv.weight.size(1), groups)][1][1].fill_(role == 0 ? 1.0 : -1.0);
  }
}

}  // namespace detail

/// Starts the autoencoder near "average every 4 x 4 pixels, repeat them": residual branches add nothing, the path
/// beside them carries the colors, and the latents' deviation is exp(-2.5). From PyTorch's initialization the same
/// training keeps wrong colors.
inline void start_near_identity(AutoencoderKL& vae) {
  const torch::NoGradGuard no_grad;
  const std::int64_t groups = vae.config().norm_num_groups, latent = vae.config().latent_channels;
  for (const auto& item : vae.named_modules()) {
    const std::string& name = item.key();
    auto* conv = dynamic_cast<Conv2d*>(item.value().get());
    if (name.ends_with(".conv2") || name.ends_with(".to_out.0")) {
      auto& last = dynamic_cast<AdaptableLayer&>(*item.value());
      last.weight.zero_();
      last.bias.zero_();
    } else if (conv && name.ends_with(".conv_shortcut")) {
      detail::pass_colors(*conv, groups, 0, 1);
    } else if (conv && name.find(".downsamplers.") != std::string::npos) {
      // the padding is below and right, so these are the four pixels of a cell
      detail::pass_colors(*conv, groups, 0, 2);
    } else if (conv && name.find(".upsamplers.") != std::string::npos) {
      detail::pass_colors(*conv, groups, 1, 1);
    } else if (conv && name.ends_with("coder.conv_in")) {
      detail::spread_colors(*conv, groups);
    } else if (conv && name.ends_with("coder.conv_out")) {
      detail::collect_colors(*conv, groups);
    } else if (conv && name.ends_with("quant_conv")) {
      conv->weight.zero_();
      conv->bias.zero_();
      for (std::int64_t i = 0; i < conv->weight.size(0); ++i) conv->weight[i][i].fill_(1.0);
      if (conv->weight.size(0) == 2 * latent) {
        conv->weight.slice(0, latent).mul_(0.1);
        conv->bias.slice(0, latent).fill_(-5.0);
      }
    }
  }
}

/// The autoencoder's loss: L1 and squared error of the colors and of their differences, objects and their borders
/// weighted 4 times the background, plus 1e-4 times the divergence of the latents from N(0, 1). images [B,3,H,W] in
/// [-1,1], objects [B,H,W] in [0,1].
inline Tensor vae_loss(const AutoencoderKL& vae, const Tensor& images, const Tensor& objects, Rng& rng) {
  const Tensor moments = vae.encode_moments(images);                                                  // [B,8,h,w]
  const Tensor mean = AutoencoderKL::latent_mean(moments), std = AutoencoderKL::latent_std(moments);  // [B,4,h,w]
  const Tensor error = vae.decode(mean + std * rng.normal(mean.sizes())) - images;                    // [B,3,H,W]
  const Tensor weight = 1 + 3 * at::max_pool2d(objects.unsqueeze(1), 3, 1, 1);                        // [B,1,H,W]
  const Tensor difference = error - error.roll(1, 1);                     // [B,3,H,W] between two colors
  const Tensor both = at::cat({error, 0.5 * difference}, 1);              // [B,6,H,W]
  const Tensor fit = (weight * (both.abs() + 2 * both.square())).mean();  // []
  const Tensor divergence = 0.5 * (mean.square() + std.square() - 1 - 2 * std.log()).mean();  // []
  return fit + 1e-4 * divergence;
}

/// Means of the latents of `indices`, in pieces of 100.  float [n,4,h,w]
inline Tensor encode_images(const AutoencoderKL& vae, const ImageSet& images, const Tensor& indices) {
  const torch::NoGradGuard no_grad;
  std::vector<Tensor> parts;
  for (const Tensor& part : indices.split(100))
    parts.push_back(AutoencoderKL::latent_mean(vae.encode_moments(images.signed_images(part))));
  return at::cat(parts);
}

/// Rewrites the 1x1 convolutions around the latents so that each channel has mean 0 and deviation 1 over `latents`
/// [n,4,h,w] and decoded images stay as they are. One scaling_factor cannot do this: raw deviations differ by a
/// factor of ten between channels.
inline void standardize_latents(AutoencoderKL& vae, const Tensor& latents) {
  const torch::NoGradGuard no_grad;
  const std::int64_t channels = latents.size(1);
  const Tensor mean = latents.mean({0, 2, 3}), std = latents.std({0, 2, 3});  // [4]
  auto weights = state_dict(vae);
  Tensor to_weight = weights.at("quant_conv.weight"), to_bias = weights.at("quant_conv.bias");  // [8,8,1,1], [8]
  // [4,4,1,1], [4]
  Tensor from_weight = weights.at("post_quant_conv.weight"), from_bias = weights.at("post_quant_conv.bias");
  to_weight.slice(0, 0, channels).div_(std.view({-1, 1, 1, 1}));
  to_bias.slice(0, 0, channels).sub_(mean).div_(std);
  to_bias.slice(0, channels).sub_(2 * std.log());  // log-variance of x / std
  from_bias.add_(from_weight.flatten(1).matmul(mean));
  from_weight.mul_(std.view({1, -1, 1, 1}));
}

/// Peak signal-to-noise ratio in dB of decoding the latents' means, over whole images in [0,1], clamped as a viewer
/// does.
inline double reconstruction_psnr(const AutoencoderKL& vae, const ImageSet& images) {
  const torch::NoGradGuard no_grad;
  double squared = 0;
  for (const Tensor& part : at::arange(images.images.size(0)).split(50)) {
    const Tensor signed_part = images.signed_images(part);  // [n,3,H,W]
    // [n,3,H,W]
    const Tensor decoded = vae.decode(AutoencoderKL::latent_mean(vae.encode_moments(signed_part))).clamp(-1, 1);
    squared += ((decoded - signed_part) / 2).square().sum().item<double>();
  }
  return -10 * std::log10(squared / static_cast<double>(images.images.numel()));
}

/// Trains or finishes training in `work`, and standardizes the latents.
inline Trained<std::shared_ptr<AutoencoderKL>> train_vae(const ImageSet& images, const ImageSet& held_out,
                                                         const std::filesystem::path& work,
                                                         const TrainingOptions& options, std::int64_t batch) {
  auto vae = std::make_shared<AutoencoderKL>(tiny_vae_config());
  Rng rng = Rng::derive(options.seed, 1);
  initialize(*vae, rng);
  start_near_identity(*vae);
  TrainingRun run("vae", work, {{"vae", vae}}, options);
  run.train(
      [&](Rng& draws) {
        const Tensor rows = random_rows(draws, images.images.size(0), batch);
        return vae_loss(*vae, images.signed_images(rows), images.objects.index_select(0, rows).to(at::kFloat).div_(255),
                        draws);
      },
      [&](std::int64_t step) {
        if (step % (10 * options.log_every) != 0) return;
        std::printf("vae step %lld: held-out PSNR %.2f dB\n", static_cast<long long>(step),
                    reconstruction_psnr(*vae, held_out));
        std::fflush(stdout);
      });
  run.use_average();
  standardize_latents(*vae,
                      encode_images(*vae, images, at::arange(std::min<std::int64_t>(4000, images.images.size(0)))));
  return {vae, run.report()};
}

}  // namespace reward_tuner::pretrain
