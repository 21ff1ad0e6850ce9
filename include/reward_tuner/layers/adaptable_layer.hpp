// A layer with one weight, an optional bias and low-rank adapters (LoRA) that add up: the base of Linear and Conv2d.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <reward_tuner/layers/captured_calls.hpp>
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

/// Several corrections of one weight as one: down factors one below the other, up factors times their scales side by
/// side. Gradients reach every factor. A single one is returned as it is. Errors: none given.
LowRank stacked(const std::vector<const LowRank*>& parts);

/// An adapter on a layer: what it adds now, and what of it the reference network has.
struct Adapter {
  LowRank factors;
  bool frozen = false;  ///< a part of the model: the reference network has it as it is
  /// the factors that the reference network has of a trained adapter; without, it has nothing of it
  std::optional<LowRank> kept = std::nullopt;

  /// What the reference network has of it, or nullptr.
  const LowRank* in_reference() const { return frozen ? &factors : kept ? &*kept : nullptr; }
};

/// How `forward` uses the attached adapters.
enum class AdapterMode {
  kApart,  ///< base layer plus the sum of scale * up(down(x)): gradients reach the adapters
  /// calls without gradient use one layer with weight W + dW, computed when the mode was entered; calls with gradient
  /// are as kApart (a checkpointed block runs both ways)
  kMerged,
  kReference,  ///< apart, with what the reference network has of each adapter: frozen ones and kept factors
};

/// Base of the layers that can be adapted. Adapters add up. Their tensors are not parameters of the module: they
/// belong to the code that attaches them.
class AdaptableLayer : public torch::nn::Module {
 public:
  AdaptableLayer(std::vector<std::int64_t> weight_shape, bool with_bias);

  /// Adds an adapter to those that the layer has. The mode stays.
  void attach(std::shared_ptr<const Adapter> adapter);
  /// Takes an adapter off again; nothing happens if it is not there. The mode stays.
  void detach(const std::shared_ptr<const Adapter>& adapter);
  /// In the order of their attaching.
  const std::vector<std::shared_ptr<const Adapter>>& adapters() const { return adapters_; }

  AdapterMode mode() const { return mode_; }
  /// Entering kMerged computes W + dW (no gradient); leaving it frees that tensor. Entering it again computes it anew.
  /// Without memory for that it throws and the mode is kApart.
  void set_mode(AdapterMode mode);
  /// From now on W + dW lies where it lay before whenever kMerged is entered, and its memory stays beyond that mode.
  void keep_merged_in_place() { in_place_ = true; }
  /// Adds what a call without gradient reads and depends on in the present mode.
  void tell(CallState& state) const;
  /// W + dW, rounded once to `dtype`; W if no adapter takes part in the present mode. No gradient.
  Tensor merged_weight(at::ScalarType dtype) const;

  Tensor weight;  // Linear [out,in], Conv2d [out,in,kh,kw]
  Tensor bias;    // [out], undefined without

 protected:
  /// The one weight that the layer has in this call; undefined if adapters take part apart from it.
  const Tensor& whole_weight() const;
  /// What the adapters that take part in the present mode add to the weight, as one. Only where there are some.
  LowRank correction() const { return stacked(parts()); }
  std::optional<Tensor> bias_or_none() const { return bias.defined() ? std::optional<Tensor>(bias) : std::nullopt; }

 private:
  /// The corrections that take part in the present mode.
  std::vector<const LowRank*> parts() const;

  std::vector<std::shared_ptr<const Adapter>> adapters_;
  Tensor merged_;
  bool in_place_ = false;
  Tensor place_;  // of merged_, if in_place_
  AdapterMode mode_ = AdapterMode::kApart;
};

/// Puts the adapters of every layer below `root` into one mode and restores the mode it found at the end of the scope.
/// Scopes nest; within a scope of the reference network every layer stays in that mode, so that its rollout is one.
class AdapterScope {
 public:
  /// `in_place`: merged weights stay at their addresses (keep_merged_in_place).
  AdapterScope(torch::nn::Module& root, AdapterMode mode, bool in_place = false);
  ~AdapterScope() { restore(); }
  AdapterScope(const AdapterScope&) = delete;
  AdapterScope& operator=(const AdapterScope&) = delete;
  /// How many adapted layers the scope holds; 0 means that nothing is attached.
  std::size_t size() const { return layers_.size(); }
  /// Whether an adapter is trained, so that the reference network differs from the present one.
  bool trains() const { return trains_; }

 private:
  void restore() noexcept;

  std::vector<std::pair<std::shared_ptr<AdaptableLayer>, AdapterMode>> layers_;
  bool trains_ = false;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/adaptable_layer.ipp>
#endif
