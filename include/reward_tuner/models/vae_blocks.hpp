// Encoder and decoder of the image autoencoder: residual blocks on every resolution, one spatial attention in the
// middle.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include <reward_tuner/models/attention.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/resnet.hpp>

namespace reward_tuner {

/// One-head self-attention over normalized pixels, added to the input.  [B,C,H,W] -> [B,C,H,W]
class SpatialAttention : public Attention {
 public:
  SpatialAttention(std::int64_t channels, std::int64_t groups, double eps);
  Tensor forward(const Tensor& x) const;

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

/// Residual block, attention, residual block (diffusers: UNetMidBlock2D).  [B,C,H,W] -> [B,C,H,W]
class VaeMidBlock : public torch::nn::Module {
 public:
  VaeMidBlock(std::int64_t channels, const VaeStackOptions& options);
  Tensor forward(const Tensor& x) const;

 private:
  std::shared_ptr<ModuleListOf<SpatialAttention>> attentions_;
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
};

/// One level of the encoder (diffusers: DownEncoderBlock2D).  [B,in,H,W] -> [B,out,H/2,W/2], or the same size at the
/// last level
class DownEncoderBlock : public torch::nn::Module {
 public:
  DownEncoderBlock(std::int64_t in, std::int64_t out, bool downsample, const VaeStackOptions& options);
  Tensor forward(const Tensor& x) const;

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Downsample2D>> downsamplers_;
};

/// One level of the decoder (diffusers: UpDecoderBlock2D).  [B,in,H,W] -> [B,out,2H,2W], or the same size at the last
/// level
class UpDecoderBlock : public torch::nn::Module {
 public:
  UpDecoderBlock(std::int64_t in, std::int64_t out, bool upsample, const VaeStackOptions& options);
  Tensor forward(const Tensor& x) const;

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Upsample2D>> upsamplers_;
};

/// Images to moments.  [B,in,H,W] -> [B,out,H/f,W/f] with f = 2^(levels-1)
class VaeEncoder : public torch::nn::Module {
 public:
  VaeEncoder(std::int64_t in, std::int64_t out, const VaeStackOptions& options);
  Tensor forward(const Tensor& x) const;
  /// Every normalized convolution by strips of about so many numbers; 0: whole.
  void set_strip(std::int64_t numbers);

 private:
  std::int64_t strip_ = 0;
  std::shared_ptr<Conv2d> conv_in_, conv_out_;
  std::shared_ptr<ModuleListOf<DownEncoderBlock>> down_blocks_;
  std::shared_ptr<VaeMidBlock> mid_block_;
  std::shared_ptr<GroupNorm> conv_norm_out_;
};

/// Latents to images.  [B,in,h,w] -> [B,out,f*h,f*w]
class VaeDecoder : public torch::nn::Module {
 public:
  VaeDecoder(std::int64_t in, std::int64_t out, const VaeStackOptions& options);
  Tensor forward(const Tensor& z) const;
  /// Every normalized convolution by strips of about so many numbers; 0: whole.
  void set_strip(std::int64_t numbers);

 private:
  std::int64_t strip_ = 0;
  std::shared_ptr<Conv2d> conv_in_, conv_out_;
  std::shared_ptr<ModuleListOf<UpDecoderBlock>> up_blocks_;
  std::shared_ptr<VaeMidBlock> mid_block_;
  std::shared_ptr<GroupNorm> conv_norm_out_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/vae_blocks.ipp>
#endif
