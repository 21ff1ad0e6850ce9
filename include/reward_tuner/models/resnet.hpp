// The convolutional parts of UNet and VAE: residual block, halving and doubling of the resolution.
#pragma once
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include <reward_tuner/core/check.hpp>
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
  ResnetBlock2D(std::int64_t in, std::int64_t out, const ResnetOptions& options) : output_scale_(options.output_scale) {
    norm1_ = register_module("norm1", std::make_shared<GroupNorm>(options.groups, in, options.eps));
    conv1_ = register_module("conv1", std::make_shared<Conv2d>(in, out, 3, 1, 1));
    if (options.time_width > 0)
      time_emb_proj_ = register_module("time_emb_proj", std::make_shared<Linear>(options.time_width, out));
    norm2_ = register_module("norm2", std::make_shared<GroupNorm>(options.groups, out, options.eps));
    conv2_ = register_module("conv2", std::make_shared<Conv2d>(out, out, 3, 1, 1));
    if (in != out) conv_shortcut_ = register_module("conv_shortcut", std::make_shared<Conv2d>(in, out, 1));
  }

  /// `time` is read only by blocks built with a time_width.
  Tensor forward(const Tensor& x, const Tensor& time = {}) const {
    Tensor h = conv1_->forward(at::silu(norm1_->forward(x)));                                         // [B,out,H,W]
    if (time_emb_proj_) h = h + time_emb_proj_->forward(at::silu(time)).unsqueeze(-1).unsqueeze(-1);  // [B,out,H,W]
    h = conv2_->forward(at::silu(norm2_->forward(h)));                                                // [B,out,H,W]
    const Tensor sum = (conv_shortcut_ ? conv_shortcut_->forward(x) : x) + h;                         // [B,out,H,W]
    return output_scale_ == 1.0 ? sum : sum / output_scale_;
  }

 private:
  double output_scale_;
  std::shared_ptr<GroupNorm> norm1_, norm2_;
  std::shared_ptr<Conv2d> conv1_, conv2_, conv_shortcut_;
  std::shared_ptr<Linear> time_emb_proj_;
};

/// Halves the resolution by a strided convolution.  padding 1: [B,C,H,W] -> [B,C,ceil(H/2),ceil(W/2)].
/// padding 0 adds one row below and one column to the right first (VAE): -> [B,C,floor(H/2),floor(W/2)].
class Downsample2D : public torch::nn::Module {
 public:
  explicit Downsample2D(std::int64_t channels, std::int64_t padding = 1) : padding_(padding) {
    conv_ = register_module("conv", std::make_shared<Conv2d>(channels, channels, 3, 2, padding));
  }
  Tensor forward(const Tensor& x) const {
    return conv_->forward(padding_ == 0 ? at::constant_pad_nd(x, {0, 1, 0, 1}) : x);
  }

 private:
  std::int64_t padding_;
  std::shared_ptr<Conv2d> conv_;
};

/// Repeats pixels up to the given size and convolves.  [B,C,H,W] -> [B,C,height,width]
class Upsample2D : public torch::nn::Module {
 public:
  explicit Upsample2D(std::int64_t channels) {
    conv_ = register_module("conv", std::make_shared<Conv2d>(channels, channels, 3, 1, 1));
  }

  Tensor forward(const Tensor& x, std::int64_t height, std::int64_t width) const {
    if (height == 2 * x.size(2) && width == 2 * x.size(3)) return conv_->forward_upsampled(x);
    return conv_->forward(at::upsample_nearest2d(x, at::IntArrayRef{height, width}));
  }
  /// Doubles the size.
  Tensor forward(const Tensor& x) const { return conv_->forward_upsampled(x); }

 private:
  std::shared_ptr<Conv2d> conv_;
};

}  // namespace reward_tuner
