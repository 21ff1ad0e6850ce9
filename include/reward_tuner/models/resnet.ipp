// Definitions of resnet.hpp.
#pragma once
#include <reward_tuner/models/resnet.hpp>

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE ResnetBlock2D::ResnetBlock2D(std::int64_t in, std::int64_t out, const ResnetOptions& options)
    : output_scale_(options.output_scale) {
  norm1_ = register_module("norm1", std::make_shared<GroupNorm>(options.groups, in, options.eps));
  conv1_ = register_module("conv1", std::make_shared<Conv2d>(in, out, 3, 1, 1));
  if (options.time_width > 0)
    time_emb_proj_ = register_module("time_emb_proj", std::make_shared<Linear>(options.time_width, out));
  norm2_ = register_module("norm2", std::make_shared<GroupNorm>(options.groups, out, options.eps));
  conv2_ = register_module("conv2", std::make_shared<Conv2d>(out, out, 3, 1, 1));
  if (in != out) conv_shortcut_ = register_module("conv_shortcut", std::make_shared<Conv2d>(in, out, 1));
}

REWARD_TUNER_INLINE Tensor ResnetBlock2D::forward(const Tensor& x, const Tensor& time) const {
  Tensor h = conv1_->forward_normalized(x, *norm1_, strip_);                                        // [B,out,H,W]
  if (time_emb_proj_) h = h + time_emb_proj_->forward(at::silu(time)).unsqueeze(-1).unsqueeze(-1);  // [B,out,H,W]
  h = conv2_->forward_normalized(h, *norm2_, strip_);                                               // [B,out,H,W]
  const Tensor sum = (conv_shortcut_ ? conv_shortcut_->forward(x) : x) + h;                         // [B,out,H,W]
  return output_scale_ == 1.0 ? sum : sum / output_scale_;
}

REWARD_TUNER_INLINE Downsample2D::Downsample2D(std::int64_t channels, std::int64_t padding) : padding_(padding) {
  conv_ = register_module("conv", std::make_shared<Conv2d>(channels, channels, 3, 2, padding));
}

REWARD_TUNER_INLINE Tensor Downsample2D::forward(const Tensor& x) const {
  return conv_->forward(padding_ == 0 ? at::constant_pad_nd(x, {0, 1, 0, 1}) : x);
}

REWARD_TUNER_INLINE Upsample2D::Upsample2D(std::int64_t channels) {
  conv_ = register_module("conv", std::make_shared<Conv2d>(channels, channels, 3, 1, 1));
}

REWARD_TUNER_INLINE Tensor Upsample2D::forward(const Tensor& x, std::int64_t height, std::int64_t width) const {
  if (height == 2 * x.size(2) && width == 2 * x.size(3)) return conv_->forward_upsampled(x);
  return conv_->forward(at::upsample_nearest2d(x, at::IntArrayRef{height, width}));
}

}  // namespace reward_tuner
