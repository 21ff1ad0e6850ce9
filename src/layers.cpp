// Definitions of tensor/, layers/, optim/ and lora/.
#include <reward_tuner/tensor/device.ipp>
#include <reward_tuner/tensor/rng.ipp>
#include <reward_tuner/layers/activation_checkpoint.ipp>
#include <reward_tuner/layers/adaptable_layer.ipp>
#include <reward_tuner/layers/adapted_linear.ipp>
#include <reward_tuner/layers/frozen_ops.ipp>
#include <reward_tuner/layers/normalized_conv.ipp>
#include <reward_tuner/layers/scaled_gradient.ipp>
#include <reward_tuner/layers/upsampled_conv.ipp>
#include <reward_tuner/optim/adamw.ipp>
#include <reward_tuner/optim/adamw_8bit.ipp>
#include <reward_tuner/optim/block_quantization.ipp>
#include <reward_tuner/optim/ema.ipp>
#include <reward_tuner/lora/lora.ipp>
#include <reward_tuner/lora/lora_files.ipp>
#include <reward_tuner/lora/lora_names.ipp>
#include <reward_tuner/lora/peft_config.ipp>
