// Encoder and decoder of the image autoencoder: residual blocks on every resolution, one spatial attention in the
// middle.
#pragma once
#include <ATen/ops/silu.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/attention.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/resnet.hpp>

namespace reward_tuner {

/// One-head self-attention over normalized pixels, added to the input.  [B,C,H,W] -> [B,C,H,W]
class SpatialAttention : public Attention {
 public:
  SpatialAttention(std::int64_t channels, std::int64_t groups, double eps)
      : Attention(channels, {.heads = 1, .projection_bias = true, .upcast = true}) {
    group_norm_ = register_module("group_norm", std::make_shared<GroupNorm>(groups, channels, eps));
  }
  Tensor forward(const Tensor& x) const {
    const Tensor tokens = group_norm_->forward(x).flatten(2).transpose(1, 2);  // [B,H*W,C]
    const Tensor mixed = Attention::forward(tokens).transpose(1, 2);           // [B,C,H*W]
    return x + mixed.unflatten(2, {x.size(2), x.size(3)});                     // [B,C,H,W]
  }

 private:
  std::shared_ptr<GroupNorm> group_norm_;
};

/// What encoder and decoder have in common.
struct VaeStackOptions {
  std::vector<std::int64_t> widths = {128, 256, 512, 512};  ///< from the highest resolution to the lowest
  std::int64_t layers = 2;                                  ///< residual blocks of a level; one more in the decoder
  std::int64_t groups = 32;                                 ///< groups of all normalizations
  bool mid_attention = true;                                ///< attention between the two residual blocks of the middle
};

namespace detail {

inline constexpr double kVaeEps = 1e-6;  // of every normalization in the autoencoder; diffusers fixes it too

inline ResnetOptions vae_resnet(const VaeStackOptions& options) { return {.groups = options.groups, .eps = kVaeEps}; }

}  // namespace detail

/// Residual block, attention, residual block (diffusers: UNetMidBlock2D).  [B,C,H,W] -> [B,C,H,W]
class VaeMidBlock : public torch::nn::Module {
 public:
  VaeMidBlock(std::int64_t channels, const VaeStackOptions& options) {
    attentions_ = register_module("attentions", std::make_shared<ModuleListOf<SpatialAttention>>());
    resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
    if (options.mid_attention) attentions_->emplace_back(channels, options.groups, detail::kVaeEps);
    for (int i = 0; i < 2; ++i) resnets_->emplace_back(channels, channels, detail::vae_resnet(options));
  }
  Tensor forward(const Tensor& x) const {
    Tensor h = (*resnets_)[0].forward(x);                                  // [B,C,H,W]
    for (const auto& attention : *attentions_) h = attention->forward(h);  // [B,C,H,W]
    return (*resnets_)[1].forward(h);                                      // [B,C,H,W]
  }

 private:
  std::shared_ptr<ModuleListOf<SpatialAttention>> attentions_;
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
};

/// One level of the encoder (diffusers: DownEncoderBlock2D).  [B,in,H,W] -> [B,out,H/2,W/2], or the same size at the
/// last level
class DownEncoderBlock : public torch::nn::Module {
 public:
  DownEncoderBlock(std::int64_t in, std::int64_t out, bool downsample, const VaeStackOptions& options) {
    resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
    downsamplers_ = register_module("downsamplers", std::make_shared<ModuleListOf<Downsample2D>>());
    for (std::int64_t i = 0; i < options.layers; ++i)
      resnets_->emplace_back(i == 0 ? in : out, out, detail::vae_resnet(options));
    if (downsample) downsamplers_->emplace_back(out, 0);
  }
  Tensor forward(const Tensor& x) const {
    Tensor h = x;
    for (const auto& resnet : *resnets_) h = resnet->forward(h);   // [B,out,H,W]
    for (const auto& down : *downsamplers_) h = down->forward(h);  // [B,out,H/2,W/2]
    return h;
  }

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Downsample2D>> downsamplers_;
};

/// One level of the decoder (diffusers: UpDecoderBlock2D).  [B,in,H,W] -> [B,out,2H,2W], or the same size at the last
/// level
class UpDecoderBlock : public torch::nn::Module {
 public:
  UpDecoderBlock(std::int64_t in, std::int64_t out, bool upsample, const VaeStackOptions& options) {
    resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
    upsamplers_ = register_module("upsamplers", std::make_shared<ModuleListOf<Upsample2D>>());
    for (std::int64_t i = 0; i <= options.layers; ++i)
      resnets_->emplace_back(i == 0 ? in : out, out, detail::vae_resnet(options));
    if (upsample) upsamplers_->emplace_back(out);
  }
  Tensor forward(const Tensor& x) const {
    Tensor h = x;
    for (const auto& resnet : *resnets_) h = resnet->forward(h);  // [B,out,H,W]
    for (const auto& up : *upsamplers_) h = up->forward(h);       // [B,out,2H,2W]
    return h;
  }

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Upsample2D>> upsamplers_;
};

/// Images to moments.  [B,in,H,W] -> [B,out,H/f,W/f] with f = 2^(levels-1)
class VaeEncoder : public torch::nn::Module {
 public:
  VaeEncoder(std::int64_t in, std::int64_t out, const VaeStackOptions& options) {
    const auto& widths = options.widths;
    conv_in_ = register_module("conv_in", std::make_shared<Conv2d>(in, widths.front(), 3, 1, 1));
    down_blocks_ = register_module("down_blocks", std::make_shared<ModuleListOf<DownEncoderBlock>>());
    for (std::size_t i = 0; i < widths.size(); ++i)
      down_blocks_->emplace_back(widths[i == 0 ? 0 : i - 1], widths[i], i + 1 < widths.size(), options);
    mid_block_ = register_module("mid_block", std::make_shared<VaeMidBlock>(widths.back(), options));
    conv_norm_out_ =
        register_module("conv_norm_out", std::make_shared<GroupNorm>(options.groups, widths.back(), detail::kVaeEps));
    conv_out_ = register_module("conv_out", std::make_shared<Conv2d>(widths.back(), out, 3, 1, 1));
  }
  Tensor forward(const Tensor& x) const {
    Tensor h = conv_in_->forward(x);
    for (const auto& block : *down_blocks_) h = block->forward(h);
    return conv_out_->forward(at::silu(conv_norm_out_->forward(mid_block_->forward(h))));
  }

 private:
  std::shared_ptr<Conv2d> conv_in_, conv_out_;
  std::shared_ptr<ModuleListOf<DownEncoderBlock>> down_blocks_;
  std::shared_ptr<VaeMidBlock> mid_block_;
  std::shared_ptr<GroupNorm> conv_norm_out_;
};

/// Latents to images.  [B,in,h,w] -> [B,out,f*h,f*w]
class VaeDecoder : public torch::nn::Module {
 public:
  VaeDecoder(std::int64_t in, std::int64_t out, const VaeStackOptions& options) {
    const auto& widths = options.widths;
    conv_in_ = register_module("conv_in", std::make_shared<Conv2d>(in, widths.back(), 3, 1, 1));
    mid_block_ = register_module("mid_block", std::make_shared<VaeMidBlock>(widths.back(), options));
    up_blocks_ = register_module("up_blocks", std::make_shared<ModuleListOf<UpDecoderBlock>>());
    for (std::size_t i = widths.size(); i-- > 0;)
      up_blocks_->emplace_back(widths[i + 1 < widths.size() ? i + 1 : i], widths[i], i > 0, options);
    conv_norm_out_ =
        register_module("conv_norm_out", std::make_shared<GroupNorm>(options.groups, widths.front(), detail::kVaeEps));
    conv_out_ = register_module("conv_out", std::make_shared<Conv2d>(widths.front(), out, 3, 1, 1));
  }
  Tensor forward(const Tensor& z) const {
    Tensor h = mid_block_->forward(conv_in_->forward(z));
    for (const auto& block : *up_blocks_) h = block->forward(h);
    return conv_out_->forward(at::silu(conv_norm_out_->forward(h)));
  }

 private:
  std::shared_ptr<Conv2d> conv_in_, conv_out_;
  std::shared_ptr<ModuleListOf<UpDecoderBlock>> up_blocks_;
  std::shared_ptr<VaeMidBlock> mid_block_;
  std::shared_ptr<GroupNorm> conv_norm_out_;
};

}  // namespace reward_tuner
