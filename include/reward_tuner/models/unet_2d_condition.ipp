// Definitions of unet_2d_condition.hpp.
#pragma once
#include <reward_tuner/models/unet_2d_condition.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>

#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/activation_checkpoint.hpp>
#include <reward_tuner/tensor/device.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE UNet2DConditionModel::UNet2DConditionModel(UNet2DConditionConfig config)
    : config_(std::move(config)) {
  config_.check();
  const auto& c = config_;
  const std::int64_t first = c.block_out_channels.front();
  const std::int64_t time_width = c.time_embedding_dim.value_or(4 * first);
  conv_in_ = register_module("conv_in",
                             std::make_shared<Conv2d>(c.in_channels, first, c.conv_in_kernel, 1, c.conv_in_kernel / 2));
  time_embedding_ = register_module("time_embedding", std::make_shared<TimestepEmbedding>(first, time_width));
  if (c.text_time_embedding)
    add_embedding_ = register_module(
        "add_embedding", std::make_shared<TimestepEmbedding>(c.projection_class_embeddings_input_dim, time_width));

  const std::size_t n = c.levels();
  down_blocks_ = register_module("down_blocks", std::make_shared<ModuleListOf<UNetDownBlock>>());
  for (std::size_t i = 0; i < n; ++i) {
    UNetLevelOptions level = level_options(i, time_width);
    level.cross_attention = c.down_block_types[i] == "CrossAttnDownBlock2D";
    level.resample = i + 1 < n;
    down_blocks_->emplace_back(c.block_out_channels[i == 0 ? 0 : i - 1], c.block_out_channels[i], level);
  }
  if (c.mid_block) {
    UNetLevelOptions level = level_options(n - 1, time_width);
    level.resnet.output_scale = c.mid_block_scale_factor;
    mid_block_ = register_module("mid_block", std::make_shared<UNetMidBlock>(c.block_out_channels.back(), level));
  }
  up_blocks_ = register_module("up_blocks", std::make_shared<ModuleListOf<UNetUpBlock>>());
  for (std::size_t k = 0; k < n; ++k) {
    const std::size_t i = n - 1 - k;  // level on the way down with the same resolution
    UNetLevelOptions level = level_options(i, time_width);
    level.cross_attention = c.up_block_types[k] == "CrossAttnUpBlock2D";
    level.layers += 1;
    level.resample = i > 0;
    up_blocks_->emplace_back(c.block_out_channels[k == 0 ? i : i + 1], c.block_out_channels[i],
                             c.block_out_channels[i == 0 ? 0 : i - 1], level);
  }
  conv_norm_out_ = register_module("conv_norm_out", std::make_shared<GroupNorm>(c.norm_num_groups, first, c.norm_eps));
  conv_out_ = register_module(
      "conv_out", std::make_shared<Conv2d>(first, c.out_channels, c.conv_out_kernel, 1, c.conv_out_kernel / 2));
}

REWARD_TUNER_INLINE Tensor UNet2DConditionModel::forward(const Tensor& sample, const Tensor& timestep,
                                                         const Tensor& encoder_hidden_states,
                                                         const AddedCondition& added) const {
  check_inputs(sample, timestep, encoder_hidden_states, added);
  const Tensor time = time_condition(sample, timestep, added);                          // [B,time_width]
  Tensor h = conv_in_->forward(config_.center_input_sample ? 2 * sample - 1 : sample);  // [B,C_0,H,W]
  std::vector<Tensor> skips{h};
  for (const auto& block : *down_blocks_) h = down(*block, h, time, encoder_hidden_states, skips);  // [B,C_i,H_i,W_i]
  if (mid_block_) h = middle(*mid_block_, h, time, encoder_hidden_states);                          // [B,C_n,H_n,W_n]
  for (const auto& block : *up_blocks_) h = up(*block, h, time, encoder_hidden_states, skips);      // [B,C_i,H_i,W_i]
  return conv_out_->forward_normalized(h, *conv_norm_out_, 0);                                      // [B,C_out,H,W]
}

REWARD_TUNER_INLINE Tensor UNet2DConditionModel::down(const UNetDownBlock& block, const Tensor& x, const Tensor& time,
                                                      const Tensor& context, std::vector<Tensor>& skips) const {
  if (!checkpointing_) return block.forward(x, time, context, skips);
  const auto run = [&block](const variable_list& in) {
    variable_list made;
    block.forward(in[0], in[1], in[2], made);
    return made;
  };
  const variable_list made = checkpointed(run, {x, time, context}, trainable_tensors(block));
  skips.insert(skips.end(), made.begin(), made.end());
  return made.back();  // a block's result is its last skip
}

REWARD_TUNER_INLINE Tensor UNet2DConditionModel::middle(const UNetMidBlock& block, const Tensor& x, const Tensor& time,
                                                        const Tensor& context) const {
  if (!checkpointing_) return block.forward(x, time, context);
  return checkpointed([&block](const variable_list& in) { return variable_list{block.forward(in[0], in[1], in[2])}; },
                      {x, time, context}, trainable_tensors(block))[0];
}

REWARD_TUNER_INLINE Tensor UNet2DConditionModel::up(const UNetUpBlock& block, const Tensor& x, const Tensor& time,
                                                    const Tensor& context, std::vector<Tensor>& skips) const {
  if (!checkpointing_) return block.forward(x, time, context, skips);
  // all remaining skips go in, because the last one gives the size to grow to; what is not taken comes from outside
  // unchanged
  const std::size_t taken = block.skips();
  variable_list inputs{x, time, context};
  inputs.insert(inputs.end(), skips.begin(), skips.end());
  const auto run = [&block](const variable_list& in) {
    std::vector<Tensor> rest(in.begin() + 3, in.end());
    return variable_list{block.forward(in[0], in[1], in[2], rest)};
  };
  const Tensor h = checkpointed(run, std::move(inputs), trainable_tensors(block))[0];
  skips.resize(skips.size() - taken);
  return h;
}

REWARD_TUNER_INLINE UNetLevelOptions UNet2DConditionModel::level_options(std::size_t i, std::int64_t time_width) const {
  const auto& c = config_;
  UNetLevelOptions level;
  level.resnet = {.time_width = time_width, .groups = c.norm_num_groups, .eps = c.norm_eps};
  level.transformer = {.attention = {.heads = c.attention_head_dim[i],
                                     .context = c.cross_attention_dim[i],
                                     .upcast = c.upcast_attention},
                       .layers = c.transformer_layers_per_block[i],
                       .groups = c.norm_num_groups,
                       .linear_projection = c.use_linear_projection};
  level.layers = c.layers_per_block[i];
  level.downsample_padding = c.downsample_padding;
  return level;
}

REWARD_TUNER_INLINE Tensor UNet2DConditionModel::time_condition(const Tensor& sample, const Tensor& timestep,
                                                                const AddedCondition& added) const {
  const auto project = [&](const Tensor& numbers, std::int64_t width) {
    return timestep_projection(beside(sample, numbers), width, config_.flip_sin_to_cos, config_.freq_shift)
        .to(sample.scalar_type());
  };
  const Tensor t = timestep.reshape({-1}).expand({sample.size(0)});                              // [B]
  const Tensor time = time_embedding_->forward(project(t, config_.block_out_channels.front()));  // [B,time_width]
  if (!add_embedding_) return time;
  const Tensor ids = project(added.time_ids.reshape({-1}), config_.addition_time_embed_dim);  // [B*6,A]
  // [B,P+6*A]
  const Tensor extra = at::cat({added.text_embeds.to(sample.scalar_type()), ids.reshape({sample.size(0), -1})}, -1);
  return time + add_embedding_->forward(extra);  // [B,time_width]
}

REWARD_TUNER_INLINE void UNet2DConditionModel::check_inputs(const Tensor& sample, const Tensor& timestep,
                                                            const Tensor& context, const AddedCondition& added) const {
  REWARD_TUNER_CHECK(sample.dim() == 4 && sample.size(1) == config_.in_channels, "[UNet] expected sample [B,",
                     config_.in_channels, ",H,W], got ", sample.sizes());
  const std::int64_t batch = sample.size(0);
  REWARD_TUNER_CHECK(timestep.dim() <= 1 && (timestep.numel() == 1 || timestep.numel() == batch),
                     "[UNet] expected timestep 0-d, [1] or [", batch, "], got ", timestep.sizes());
  REWARD_TUNER_CHECK(
      context.dim() == 3 && context.size(0) == batch && context.size(2) == config_.cross_attention_dim.front(),
      "[UNet] expected encoder_hidden_states [", batch, ",L,", config_.cross_attention_dim.front(), "], got ",
      context.sizes());
  REWARD_TUNER_CHECK(
      config_.text_time_embedding == added.text_embeds.defined() &&
          config_.text_time_embedding == added.time_ids.defined(),
      config_.text_time_embedding
          ? "[UNet] expected AddedCondition with text_embeds and time_ids (SDXL), got one or both missing"
          : "[UNet] expected no AddedCondition for a network without addition_embed_type, got one");
  if (!config_.text_time_embedding) return;
  const std::int64_t pooled = added.text_embeds.dim() == 2 ? added.text_embeds.size(1) : -1;
  const std::int64_t ids = added.time_ids.dim() == 2 ? added.time_ids.size(1) : -1;
  REWARD_TUNER_CHECK(
      pooled >= 0 && ids >= 0 && added.text_embeds.size(0) == batch && added.time_ids.size(0) == batch &&
          pooled + ids * config_.addition_time_embed_dim == config_.projection_class_embeddings_input_dim,
      "[UNet] expected text_embeds [", batch, ",P] and time_ids [", batch, ",N] with P + N * ",
      config_.addition_time_embed_dim, " = ", config_.projection_class_embeddings_input_dim, ", got ",
      added.text_embeds.sizes(), " and ", added.time_ids.sizes());
}

}  // namespace reward_tuner
