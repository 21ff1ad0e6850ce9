// The noise predictor of Stable Diffusion 1, 2 and XL: a UNet conditioned on time and text, with diffusers' parameter
// names.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include <reward_tuner/models/embeddings.hpp>
#include <reward_tuner/models/layers.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>
#include <reward_tuner/models/unet_blocks.hpp>

namespace reward_tuner {

/// What SDXL is conditioned on besides time and tokens.
struct AddedCondition {
  Tensor text_embeds = {};  ///< pooled text embedding [B,P]
  /// original height and width, top and left of the crop, target height and width, in pixels [B,6]
  Tensor time_ids = {};
};

/// eps, v or x0 prediction of a latent diffusion model (Rombach et al. 2022); names and numbers as diffusers'
/// UNet2DConditionModel. All parameters require gradients at first and are uninitialized until weights are loaded or
/// `initialize` is called.
class UNet2DConditionModel : public torch::nn::Module {
 public:
  explicit UNet2DConditionModel(UNet2DConditionConfig config);

  /// Predicts from noisy latents. sample [B,C,H,W] of any H, W >= 1; timestep [B], [1] or 0-d of any number type, in
  /// the scheduler's units (0..999); encoder_hidden_states [B,L,D]; `added` for SDXL configurations only ->
  /// [B,C_out,H,W]. Differentiable in all floating-point inputs. Throws for inputs that do not fit the configuration.
  Tensor forward(const Tensor& sample, const Tensor& timestep, const Tensor& encoder_hidden_states,
                 const AddedCondition& added = {}) const;

  const UNet2DConditionConfig& config() const { return config_; }

  /// With it on, calls with gradient keep only what goes into each block and run the blocks once more in the backward
  /// pass: less memory, one more forward. Equal gradients.
  void set_activation_checkpointing(bool on) { checkpointing_ = on; }
  bool activation_checkpointing() const { return checkpointing_; }

 private:
  Tensor down(const UNetDownBlock& block, const Tensor& x, const Tensor& time, const Tensor& context,
              std::vector<Tensor>& skips) const;
  Tensor middle(const UNetMidBlock& block, const Tensor& x, const Tensor& time, const Tensor& context) const;
  Tensor up(const UNetUpBlock& block, const Tensor& x, const Tensor& time, const Tensor& context,
            std::vector<Tensor>& skips) const;

  UNetLevelOptions level_options(std::size_t i, std::int64_t time_width) const;

  Tensor time_condition(const Tensor& sample, const Tensor& timestep, const AddedCondition& added) const;

  void check_inputs(const Tensor& sample, const Tensor& timestep, const Tensor& context,
                    const AddedCondition& added) const;

  UNet2DConditionConfig config_;
  bool checkpointing_ = false;
  std::shared_ptr<Conv2d> conv_in_, conv_out_;
  std::shared_ptr<TimestepEmbedding> time_embedding_, add_embedding_;
  std::shared_ptr<ModuleListOf<UNetDownBlock>> down_blocks_;
  std::shared_ptr<UNetMidBlock> mid_block_;
  std::shared_ptr<ModuleListOf<UNetUpBlock>> up_blocks_;
  std::shared_ptr<GroupNorm> conv_norm_out_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/unet_2d_condition.ipp>
#endif
