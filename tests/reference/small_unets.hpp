// Small networks of the architectures of Stable Diffusion 1, 2 and XL.
#pragma once
#include <reward_tuner/models/unet_2d_condition_config.hpp>

namespace reward_tuner::small {

inline UNet2DConditionConfig sd1() {
  UNet2DConditionConfig c;
  c.down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"};
  c.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  c.block_out_channels = {32, 64, 64};
  c.layers_per_block = {2, 2, 1};
  c.norm_num_groups = 8;
  c.cross_attention_dim = {48, 48, 48};
  c.transformer_layers_per_block = {1, 1, 1};
  c.attention_head_dim = {4, 4, 4};
  return c;
}
inline UNet2DConditionConfig sd2() {
  auto c = sd1();
  c.use_linear_projection = true;
  c.attention_head_dim = {2, 4, 4};
  return c;
}
inline UNet2DConditionConfig sdxl() {
  auto c = sd2();
  c.down_block_types = {"DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"};
  c.up_block_types = {"CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"};
  c.layers_per_block = {2, 2, 2};
  c.transformer_layers_per_block = {1, 2, 4};
  c.text_time_embedding = true;
  c.addition_time_embed_dim = 16;
  c.projection_class_embeddings_input_dim = 6 * 16 + 40;
  return c;
}

}  // namespace reward_tuner::small
