// A network with the adapters that it has, as what its calls take is sketched.
#pragma once
#include <torch/nn/module.h>

#include <map>
#include <memory>
#include <string>

#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/models/sketch_layers.hpp>

namespace reward_tuner {

/// The adapted layers of a network by path, and what of it is trained, when this is made.
class AdaptedNetwork {
 public:
  explicit AdaptedNetwork(const torch::nn::Module& network);

  /// Of all adapters; kApart where there is none.
  AdapterMode mode() const;
  /// Ranks are those of the adapters that take part in the mode of their layer when a rank is asked for.
  SketchTraining training() const;

 private:
  std::shared_ptr<const std::map<std::string, std::shared_ptr<const AdaptableLayer>>> layers_;
  bool weights_ = false, adapters_ = false;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/adapted_network.ipp>
#endif
