// The convolutional parts of UNet and VAE: residual block, halving and doubling of the resolution.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// What the residual blocks of one network have in common.
struct ResnetOptions {
  std::int64_t time_width = 0;  ///< width of the time embedding, 0 = not conditioned on time (VAE)
  std::int64_t groups = 32;     ///< groups of both normalizations
  double eps = 1e-5;            ///< of both normalizations
  double output_scale = 1.0;    ///< the sum of both branches is divided by this
};

/// Two normalized convolutions plus a shortcut, the time embedding added in between.  x [B,in,H,W], time [B,time_width]
/// -> [B,out,H,W]
class ResnetBlock2D : public torch::nn::Module {
 public:
  ResnetBlock2D(std::int64_t in, std::int64_t out, const ResnetOptions& options);

  /// `time` is read only by blocks built with a time_width.
  Tensor forward(const Tensor& x, const Tensor& time = {}) const;

  /// Both normalized convolutions by strips of about so many numbers (normalized_conv.hpp); 0: whole.
  void set_strip(std::int64_t numbers) { strip_ = numbers; }

 private:
  double output_scale_;
  std::int64_t strip_ = 0;
  std::shared_ptr<GroupNorm> norm1_, norm2_;
  std::shared_ptr<Conv2d> conv1_, conv2_, conv_shortcut_;
  std::shared_ptr<Linear> time_emb_proj_;
};

/// Halves the resolution by a strided convolution.  padding 1: [B,C,H,W] -> [B,C,ceil(H/2),ceil(W/2)].
/// padding 0 adds one row below and one column to the right first (VAE): -> [B,C,floor(H/2),floor(W/2)].
class Downsample2D : public torch::nn::Module {
 public:
  explicit Downsample2D(std::int64_t channels, std::int64_t padding = 1);
  Tensor forward(const Tensor& x) const;

 private:
  std::int64_t padding_;
  std::shared_ptr<Conv2d> conv_;
};

/// Repeats pixels up to the given size and convolves.  [B,C,H,W] -> [B,C,height,width]
class Upsample2D : public torch::nn::Module {
 public:
  explicit Upsample2D(std::int64_t channels);

  Tensor forward(const Tensor& x, std::int64_t height, std::int64_t width) const;
  /// Doubles the size.
  Tensor forward(const Tensor& x) const { return conv_->forward_upsampled(x); }

 private:
  std::shared_ptr<Conv2d> conv_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/resnet.ipp>
#endif
