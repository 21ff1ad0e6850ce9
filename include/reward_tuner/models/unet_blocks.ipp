// Definitions of unet_blocks.hpp.
#pragma once
#include <reward_tuner/models/unet_blocks.hpp>

#include <ATen/ops/cat.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE UNetDownBlock::UNetDownBlock(std::int64_t in, std::int64_t out, const UNetLevelOptions& options) {
  resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
  attentions_ = register_module("attentions", std::make_shared<ModuleListOf<Transformer2DModel>>());
  downsamplers_ = register_module("downsamplers", std::make_shared<ModuleListOf<Downsample2D>>());
  for (std::int64_t i = 0; i < options.layers; ++i) {
    resnets_->emplace_back(i == 0 ? in : out, out, options.resnet);
    if (options.cross_attention) attentions_->emplace_back(out, options.transformer);
  }
  if (options.resample) downsamplers_->emplace_back(out, options.downsample_padding);
}

REWARD_TUNER_INLINE Tensor UNetDownBlock::forward(const Tensor& x, const Tensor& time, const Tensor& context,
                                                  std::vector<Tensor>& skips) const {
  Tensor h = x;
  for (std::size_t i = 0; i < resnets_->size(); ++i) {
    h = (*resnets_)[i].forward(h, time);                                   // [B,out,H,W]
    if (!attentions_->empty()) h = (*attentions_)[i].forward(h, context);  // [B,out,H,W]
    skips.push_back(h);
  }
  for (const auto& down : *downsamplers_) skips.push_back(h = down->forward(h));  // [B,out,H/2,W/2]
  return h;
}

REWARD_TUNER_INLINE UNetMidBlock::UNetMidBlock(std::int64_t channels, const UNetLevelOptions& options) {
  resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
  attentions_ = register_module("attentions", std::make_shared<ModuleListOf<Transformer2DModel>>());
  resnets_->emplace_back(channels, channels, options.resnet);
  attentions_->emplace_back(channels, options.transformer);
  resnets_->emplace_back(channels, channels, options.resnet);
}

REWARD_TUNER_INLINE Tensor UNetMidBlock::forward(const Tensor& x, const Tensor& time, const Tensor& context) const {
  const Tensor h = (*attentions_)[0].forward((*resnets_)[0].forward(x, time), context);  // [B,C,H,W]
  return (*resnets_)[1].forward(h, time);                                                // [B,C,H,W]
}

REWARD_TUNER_INLINE UNetUpBlock::UNetUpBlock(std::int64_t in, std::int64_t out, std::int64_t skip_last,
                                             const UNetLevelOptions& options) {
  resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
  attentions_ = register_module("attentions", std::make_shared<ModuleListOf<Transformer2DModel>>());
  upsamplers_ = register_module("upsamplers", std::make_shared<ModuleListOf<Upsample2D>>());
  for (std::int64_t i = 0; i < options.layers; ++i) {
    resnets_->emplace_back((i == 0 ? in : out) + (i + 1 == options.layers ? skip_last : out), out, options.resnet);
    if (options.cross_attention) attentions_->emplace_back(out, options.transformer);
  }
  if (options.resample) upsamplers_->emplace_back(out);
}

REWARD_TUNER_INLINE Tensor UNetUpBlock::forward(const Tensor& x, const Tensor& time, const Tensor& context,
                                                std::vector<Tensor>& skips) const {
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

}  // namespace reward_tuner
