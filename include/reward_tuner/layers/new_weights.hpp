// Where layers make their weights, and of which type: chosen before a network is built, so that it never exists twice.
#pragma once
#include <ATen/ops/empty.h>
#include <c10/core/TensorOptions.h>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// Layers that this thread makes in the scope have their weights on this device and of this type; outside of any scope,
/// on the CPU in the default type. Scopes nest. The weights are not initialized: their memory is not touched before
/// they are loaded. On the meta device a network has shapes alone and costs nothing.
/// Example: `const NewWeightsScope scope(at::device(at::kCPU).dtype(at::kHalf)); UNet2DConditionModel unet(config);`
class NewWeightsScope {
 public:
  explicit NewWeightsScope(const at::TensorOptions& options) : before_(current()) { current() = options; }
  ~NewWeightsScope() { current() = before_; }
  NewWeightsScope(const NewWeightsScope&) = delete;
  NewWeightsScope& operator=(const NewWeightsScope&) = delete;

 private:
  friend Tensor new_weight(at::IntArrayRef shape);

  static at::TensorOptions& current() {
    static thread_local at::TensorOptions options;
    return options;
  }

  at::TensorOptions before_;
};

/// A tensor for a layer's parameter, as the scope says. Its values are undefined.
inline Tensor new_weight(at::IntArrayRef shape) { return at::empty(shape, NewWeightsScope::current()); }

}  // namespace reward_tuner
