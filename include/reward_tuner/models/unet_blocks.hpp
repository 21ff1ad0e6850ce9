// The levels of the UNet: one class for the way down, one for the middle, one for the way up, each with or without
// cross-attention.
#pragma once
#include <ATen/ops/cat.h>
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
  UNetDownBlock(std::int64_t in, std::int64_t out, const UNetLevelOptions& options) {
    resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
    attentions_ = register_module("attentions", std::make_shared<ModuleListOf<Transformer2DModel>>());
    downsamplers_ = register_module("downsamplers", std::make_shared<ModuleListOf<Downsample2D>>());
    for (std::int64_t i = 0; i < options.layers; ++i) {
      resnets_->emplace_back(i == 0 ? in : out, out, options.resnet);
      if (options.cross_attention) attentions_->emplace_back(out, options.transformer);
    }
    if (options.resample) downsamplers_->emplace_back(out, options.downsample_padding);
  }

  /// x [B,in,H,W] -> [B,out,H',W']; appends the result of every layer to `skips`.
  Tensor forward(const Tensor& x, const Tensor& time, const Tensor& context, std::vector<Tensor>& skips) const {
    Tensor h = x;
    for (std::size_t i = 0; i < resnets_->size(); ++i) {
      h = (*resnets_)[i].forward(h, time);                                   // [B,out,H,W]
      if (!attentions_->empty()) h = (*attentions_)[i].forward(h, context);  // [B,out,H,W]
      skips.push_back(h);
    }
    for (const auto& down : *downsamplers_) skips.push_back(h = down->forward(h));  // [B,out,H/2,W/2]
    return h;
  }

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Transformer2DModel>> attentions_;
  std::shared_ptr<ModuleListOf<Downsample2D>> downsamplers_;
};

/// The lowest level: residual block, transformer, residual block (diffusers: UNetMidBlock2DCrossAttn).  [B,C,H,W] ->
/// [B,C,H,W]
class UNetMidBlock : public torch::nn::Module {
 public:
  UNetMidBlock(std::int64_t channels, const UNetLevelOptions& options) {
    resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
    attentions_ = register_module("attentions", std::make_shared<ModuleListOf<Transformer2DModel>>());
    resnets_->emplace_back(channels, channels, options.resnet);
    attentions_->emplace_back(channels, options.transformer);
    resnets_->emplace_back(channels, channels, options.resnet);
  }
  Tensor forward(const Tensor& x, const Tensor& time, const Tensor& context) const {
    const Tensor h = (*attentions_)[0].forward((*resnets_)[0].forward(x, time), context);  // [B,C,H,W]
    return (*resnets_)[1].forward(h, time);                                                // [B,C,H,W]
  }

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Transformer2DModel>> attentions_;
};

/// One level on the way up (diffusers: UpBlock2D, CrossAttnUpBlock2D).
class UNetUpBlock : public torch::nn::Module {
 public:
  /// `in`: channels from the level below; `skip_last`: channels of the last skip, which comes from the level above on
  /// the way down.
  UNetUpBlock(std::int64_t in, std::int64_t out, std::int64_t skip_last, const UNetLevelOptions& options) {
    resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
    attentions_ = register_module("attentions", std::make_shared<ModuleListOf<Transformer2DModel>>());
    upsamplers_ = register_module("upsamplers", std::make_shared<ModuleListOf<Upsample2D>>());
    for (std::int64_t i = 0; i < options.layers; ++i) {
      resnets_->emplace_back((i == 0 ? in : out) + (i + 1 == options.layers ? skip_last : out), out, options.resnet);
      if (options.cross_attention) attentions_->emplace_back(out, options.transformer);
    }
    if (options.resample) upsamplers_->emplace_back(out);
  }

  /// How many skips `forward` takes.
  std::size_t skips() const { return resnets_->size(); }

  /// Takes one skip per layer from the end of `skips`.  x [B,in,H,W] -> [B,out,H',W'], where H', W' is the size of the
  /// next skip: so inputs whose sides are no multiple of the whole reduction come back to their own size.
  Tensor forward(const Tensor& x, const Tensor& time, const Tensor& context, std::vector<Tensor>& skips) const {
    REWARD_TUNER_CHECK(skips.size() >= resnets_->size() + upsamplers_->size(), "[UNet] expected ",
                       resnets_->size() + upsamplers_->size(), " skips for a block on the way up, got ", skips.size());
    Tensor h = x;
    for (std::size_t i = 0; i < resnets_->size(); ++i) {
      h = (*resnets_)[i].forward(at::cat({h, skips.back()}, 1), time);  // [B,out,H,W]
      skips.pop_back();
      if (!attentions_->empty()) h = (*attentions_)[i].forward(h, context);  // [B,out,H,W]
    }
    // [B,out,H',W']
    for (const auto& up : *upsamplers_) h = up->forward(h, skips.back().size(2), skips.back().size(3));
    return h;
  }

 private:
  std::shared_ptr<ModuleListOf<ResnetBlock2D>> resnets_;
  std::shared_ptr<ModuleListOf<Transformer2DModel>> attentions_;
  std::shared_ptr<ModuleListOf<Upsample2D>> upsamplers_;
};

}  // namespace reward_tuner
