// Definitions of models/: UNet and image autoencoder.
#include <reward_tuner/models/attention.ipp>
#include <reward_tuner/models/autoencoder_kl.ipp>
#include <reward_tuner/models/config_limits.ipp>
#include <reward_tuner/models/embeddings.ipp>
#include <reward_tuner/models/idle_parts.ipp>
#include <reward_tuner/models/initialize.ipp>
#include <reward_tuner/models/layers.ipp>
#include <reward_tuner/models/network_scopes.ipp>
#include <reward_tuner/models/resnet.ipp>
#include <reward_tuner/models/unet_2d_condition.ipp>
#include <reward_tuner/models/unet_2d_condition_config.ipp>
#include <reward_tuner/models/unet_blocks.ipp>
#include <reward_tuner/models/vae_blocks.ipp>
