// The levels of the UNet: one class for the way down, one for the middle, one for the way up, each with or without
// cross-attention.
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

/// What the blocks of one resolution are built from.
struct UNetLevelOptions {
  ResnetOptions resnet = {};              ///< of every residual block
  bool cross_attention = false;           ///< a transformer behind every residual block
  Transformer2DOptions transformer = {};  ///< read only with cross_attention
  std::int64_t layers = 2;                ///< residual blocks
  bool resample = true;                   ///< ends with a change of resolution
  std::int64_t downsample_padding = 1;    ///< see Downsample2D; read only on the way down
};

/// One level on the way down (diffusers: DownBlock2D, CrossAttnDownBlock2D).
class UNetDownBlock : public torch::nn::Module {
 public:
  UNetDownBlock(std::int64_t in, std::int64_t out, const UNetLevelOptions& options);

  /// x [B,in,H,W] -> [B,out,H',W']; appends the result of every layer to `skips`.
  Tensor forward(const Tensor& x, const Tensor& time, const Tensor& context, std::vector<Tensor>& skips) const;

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Transformer2DModel>> attentions_;
  std::shared_ptr<ModuleListOf<Downsample2D>> downsamplers_;
};

/// The lowest level: residual block, transformer, residual block (diffusers: UNetMidBlock2DCrossAttn).  [B,C,H,W] ->
/// [B,C,H,W]
class UNetMidBlock : public torch::nn::Module {
 public:
  UNetMidBlock(std::int64_t channels, const UNetLevelOptions& options);
  Tensor forward(const Tensor& x, const Tensor& time, const Tensor& context) const;

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Transformer2DModel>> attentions_;
};

/// One level on the way up (diffusers: UpBlock2D, CrossAttnUpBlock2D).
class UNetUpBlock : public torch::nn::Module {
 public:
  /// `in`: channels from the level below; `skip_last`: channels of the last skip, which comes from the level above on
  /// the way down.
  UNetUpBlock(std::int64_t in, std::int64_t out, std::int64_t skip_last, const UNetLevelOptions& options);

  /// Number of skips that `forward` consumes.
  std::size_t skips() const { return resnets_->size(); }

  /// Takes one skip per layer from the end of `skips`.  x [B,in,H,W] -> [B,out,H',W'], where H', W' is the size of the
  /// next skip: so inputs whose sides are no multiple of the whole reduction come back to their own size.
  Tensor forward(const Tensor& x, const Tensor& time, const Tensor& context, std::vector<Tensor>& skips) const;

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Transformer2DModel>> attentions_;
  std::shared_ptr<ModuleListOf<Upsample2D>> upsamplers_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/unet_blocks.ipp>
#endif
