// Definitions of tensor/, models/ and engine/: tensors without memory, and the networks and the update on them.
#include <reward_tuner/tensor/sketch.ipp>
#include <reward_tuner/models/sketch_layers.ipp>
#include <reward_tuner/models/sketch_networks.ipp>
#include <reward_tuner/models/network_flops.ipp>
#include <reward_tuner/models/adapted_network.ipp>
#include <reward_tuner/engine/update_sketch.ipp>
