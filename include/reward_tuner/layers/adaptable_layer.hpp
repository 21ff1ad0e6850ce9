// A layer with one weight, an optional bias and a slot for a low-rank adapter (LoRA): the base of Linear and Conv2d.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// A low-rank correction of a weight, dW = scale * up * down (Hu et al. 2021, Eq. 3).
/// Linear: down [r,in], up [out,r]. Convolution: down [r,in,kh,kw], up [out,r,1,1].
struct LowRank {
  Tensor down, up;
  double scale = 1.0;

  /// dW in the shape of the layer's weight.
  Tensor delta() const;
};

/// How `forward` uses an attached adapter.
enum class AdapterMode {
  kApart,  ///< base layer plus scale * up(down(x)): gradients reach the adapter
  /// calls without gradient use one layer with weight W + dW, computed when the mode was entered; calls with gradient
  /// are as kApart (a checkpointed block runs both ways)
  kMerged,
  kOff,  ///< the base layer alone: the reference model
};

/// Base of the layers that can be adapted. The adapter's tensors are not parameters of the module: they
/// belong to the code that attaches them.
class AdaptableLayer : public torch::nn::Module {
 public:
  AdaptableLayer(std::vector<std::int64_t> weight_shape, bool with_bias);

  /// Puts an adapter into the empty slot, or empties the slot with nullptr. The mode becomes kApart.
  void attach(std::shared_ptr<const LowRank> adapter);
  const std::shared_ptr<const LowRank>& adapter() const { return adapter_; }

  AdapterMode mode() const { return mode_; }
  /// Entering kMerged computes W + dW (no gradient); leaving it frees that tensor. Entering it again computes it anew.
  void set_mode(AdapterMode mode);
  /// W + dW, rounded once to `dtype`; W without an adapter or with one that is off. No gradient.
  Tensor merged_weight(at::ScalarType dtype) const;

  Tensor weight;  // Linear [out,in], Conv2d [out,in,kh,kw]
  Tensor bias;    // [out], undefined without

 protected:
  /// The one weight that the layer has in this call; undefined if the adapter takes part apart from it.
  const Tensor& whole_weight() const;
  std::optional<Tensor> bias_or_none() const { return bias.defined() ? std::optional<Tensor>(bias) : std::nullopt; }

 private:
  std::shared_ptr<const LowRank> adapter_;
  Tensor merged_;
  AdapterMode mode_ = AdapterMode::kApart;
};

/// Puts every adapter below `root` into one mode and restores the mode it found at the end of the scope. Scopes nest;
/// what an outer scope switched off stays off, so that a rollout of the reference model is one.
class AdapterScope {
 public:
  AdapterScope(torch::nn::Module& root, AdapterMode mode);
  ~AdapterScope();
  AdapterScope(const AdapterScope&) = delete;
  AdapterScope& operator=(const AdapterScope&) = delete;
  /// How many adapted layers the scope holds; 0 means that nothing is attached.
  std::size_t size() const { return layers_.size(); }

 private:
  std::vector<std::pair<std::shared_ptr<AdaptableLayer>, AdapterMode>> layers_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/adaptable_layer.ipp>
#endif
