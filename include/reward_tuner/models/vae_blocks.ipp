// Definitions of vae_blocks.hpp.
#pragma once
#include <reward_tuner/models/vae_blocks.hpp>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE SpatialAttention::SpatialAttention(std::int64_t channels, std::int64_t groups, double eps)
    : Attention(channels, {.heads = 1, .projection_bias = true, .upcast = true}) {
  group_norm_ = register_module("group_norm", std::make_shared<GroupNorm>(groups, channels, eps));
}

REWARD_TUNER_INLINE Tensor SpatialAttention::forward(const Tensor& x) const {
  const Tensor tokens = group_norm_->forward(x).flatten(2).transpose(1, 2);  // [B,H*W,C]
  const Tensor mixed = Attention::forward(tokens).transpose(1, 2);           // [B,C,H*W]
  return x + mixed.unflatten(2, {x.size(2), x.size(3)});                     // [B,C,H,W]
}

namespace detail {

inline constexpr double kVaeEps = 1e-6;  // of every normalization in the autoencoder; diffusers fixes it too

inline ResnetOptions vae_resnet(const VaeStackOptions& options) { return {.groups = options.groups, .eps = kVaeEps}; }

}  // namespace detail

namespace detail {

inline void set_strips(torch::nn::Module& stack, std::int64_t numbers) {
  for (const auto& module : stack.modules())
    if (const auto block = std::dynamic_pointer_cast<ResnetBlock2D>(module)) block->set_strip(numbers);
}

}  // namespace detail

REWARD_TUNER_INLINE void VaeEncoder::set_strip(std::int64_t numbers) { detail::set_strips(*this, strip_ = numbers); }
REWARD_TUNER_INLINE void VaeDecoder::set_strip(std::int64_t numbers) { detail::set_strips(*this, strip_ = numbers); }

REWARD_TUNER_INLINE VaeMidBlock::VaeMidBlock(std::int64_t channels, const VaeStackOptions& options) {
  attentions_ = register_module("attentions", std::make_shared<ModuleListOf<SpatialAttention>>());
  resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
  if (options.mid_attention) attentions_->emplace_back(channels, options.groups, detail::kVaeEps);
  for (int i = 0; i < 2; ++i) resnets_->emplace_back(channels, channels, detail::vae_resnet(options));
}

REWARD_TUNER_INLINE Tensor VaeMidBlock::forward(const Tensor& x) const {
  Tensor h = (*resnets_)[0].forward(x);                                  // [B,C,H,W]
  for (const auto& attention : *attentions_) h = attention->forward(h);  // [B,C,H,W]
  return (*resnets_)[1].forward(h);                                      // [B,C,H,W]
}

REWARD_TUNER_INLINE DownEncoderBlock::DownEncoderBlock(std::int64_t in, std::int64_t out, bool downsample,
                                                       const VaeStackOptions& options) {
  resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
  downsamplers_ = register_module("downsamplers", std::make_shared<ModuleListOf<Downsample2D>>());
  for (std::int64_t i = 0; i < options.layers; ++i)
    resnets_->emplace_back(i == 0 ? in : out, out, detail::vae_resnet(options));
  if (downsample) downsamplers_->emplace_back(out, 0);
}

REWARD_TUNER_INLINE Tensor DownEncoderBlock::forward(const Tensor& x) const {
  Tensor h = x;
  for (const auto& resnet : *resnets_) h = resnet->forward(h);   // [B,out,H,W]
  for (const auto& down : *downsamplers_) h = down->forward(h);  // [B,out,H/2,W/2]
  return h;
}

REWARD_TUNER_INLINE UpDecoderBlock::UpDecoderBlock(std::int64_t in, std::int64_t out, bool upsample,
                                                   const VaeStackOptions& options) {
  resnets_ = register_module("resnets", std::make_shared<ModuleListOf<ResnetBlock2D>>());
  upsamplers_ = register_module("upsamplers", std::make_shared<ModuleListOf<Upsample2D>>());
  for (std::int64_t i = 0; i <= options.layers; ++i)
    resnets_->emplace_back(i == 0 ? in : out, out, detail::vae_resnet(options));
  if (upsample) upsamplers_->emplace_back(out);
}

REWARD_TUNER_INLINE Tensor UpDecoderBlock::forward(const Tensor& x) const {
  Tensor h = x;
  for (const auto& resnet : *resnets_) h = resnet->forward(h);  // [B,out,H,W]
  for (const auto& up : *upsamplers_) h = up->forward(h);       // [B,out,2H,2W]
  return h;
}

REWARD_TUNER_INLINE VaeEncoder::VaeEncoder(std::int64_t in, std::int64_t out, const VaeStackOptions& options) {
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

REWARD_TUNER_INLINE Tensor VaeEncoder::forward(const Tensor& x) const {
  Tensor h = conv_in_->forward(x);
  for (const auto& block : *down_blocks_) h = block->forward(h);
  return conv_out_->forward_normalized(mid_block_->forward(h), *conv_norm_out_, strip_);
}

REWARD_TUNER_INLINE VaeDecoder::VaeDecoder(std::int64_t in, std::int64_t out, const VaeStackOptions& options) {
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

REWARD_TUNER_INLINE Tensor VaeDecoder::forward(const Tensor& z) const {
  Tensor h = mid_block_->forward(conv_in_->forward(z));
  for (const auto& block : *up_blocks_) h = block->forward(h);
  return conv_out_->forward_normalized(h, *conv_norm_out_, strip_);
}

}  // namespace reward_tuner
