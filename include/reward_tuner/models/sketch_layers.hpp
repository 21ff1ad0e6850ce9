// The layers of the networks on sketched tensors: what each allocates, what it keeps for its backward, and what a
// kernel takes while it runs. The rules stand at each function.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/tensor/sketch.hpp>

namespace reward_tuner {

/// What the bytes of a computation depend on besides its sizes.
struct SketchMachine {
  bool cpu = true;           ///< oneDNN's copies and the CPU's fused upsampling, or a CUDA card's kernels
  int threads = 1;           ///< of an operation; attention on the CPU has a buffer for each
  std::int64_t element = 4;  ///< bytes of a number in weights and activations
  bool autocast = false;     ///< products and convolutions in 2 bytes, frozen weights cast at each call
};

/// What of a network is trained.
struct SketchTraining {
  bool weights = false;  ///< every weight
  /// columns of the adapters on a layer, trained or not; 0: none
  std::function<std::int64_t(const std::string& path, bool linear)> rank = {};
  bool adapters = true;  ///< whether those are trained
};

/// A layer with a weight: linear, or a convolution of a kernel.
struct SketchLayer {
  std::string path;
  std::int64_t in = 0, out = 0;
  std::int64_t kernel = 0;  ///< 0: linear
  std::int64_t stride = 1, padding = 0;
  bool bias = true;
};

/// Runs layers. Weights themselves are not counted: they are there before.
class SketchLayers {
 public:
  SketchLayers(Sketch& sketch, SketchMachine machine, SketchTraining training)
      : sketch_(sketch), machine_(machine), training_(std::move(training)) {}

  Sketch& sketch() { return sketch_; }
  const SketchMachine& machine() const { return machine_; }

  /// Keeps nothing of its input where the weight is frozen (layers/frozen_ops.hpp), else its input. A kernel beyond 1x1
  /// on the CPU copies input, weight and output into blocks of 16 channels.  [B,in,H,W] -> [B,out,H',W']
  SketchTensor conv(const SketchTensor& x, const SketchLayer& layer);
  /// Doubles the pixels first. On the CPU one transposed convolution, which keeps nothing of a frozen layer
  /// (layers/upsampled_conv.hpp).  [B,in,H,W] -> [B,out,2H,2W]
  SketchTensor upsampled_conv(const SketchTensor& x, const SketchLayer& layer);
  /// A frozen one keeps nothing; with an adapter input and its projection to r columns (layers/adapted_linear.hpp);
  /// a trained one its input.  [...,in] -> [...,out]
  SketchTensor linear(const SketchTensor& x, const SketchLayer& layer);
  /// Keeps its input and two numbers a group.
  SketchTensor group_norm(const SketchTensor& x, std::int64_t groups, const std::string& path);
  /// Keeps its input and two numbers a row; a transposed input is copied while it runs.
  SketchTensor layer_norm(const SketchTensor& x, bool transposed, const std::string& path);
  /// Keep their input.
  SketchTensor activation(const SketchTensor& x);
  SketchTensor softmax(const SketchTensor& x);  // its output
  /// Keep nothing.
  SketchTensor add(const SketchTensor& a, const SketchTensor& b);
  SketchTensor scale(const SketchTensor& x);
  SketchTensor concatenate(const std::vector<SketchTensor>& parts, std::size_t dimension);
  /// A copy in another order or type.
  SketchTensor copy(const SketchTensor& x, std::int64_t element);
  /// Keeps both.
  SketchTensor multiply(const SketchTensor& a, const SketchTensor& b);
  /// Views of the first and the second half of the last dimension.
  std::vector<SketchTensor> halves(const SketchTensor& x);
  /// a [...,m,k] b [...,k,n] -> [...,m,n]; keeps both.
  SketchTensor matmul(const SketchTensor& a, const SketchTensor& b, std::vector<std::int64_t> sizes);
  /// Keeps its inputs, its output and a number for each query, as fused kernels do.  q [B,h,L,d], k and v [B,h,S,d]
  SketchTensor attention(const SketchTensor& q, const SketchTensor& k, const SketchTensor& v);
  /// Keeps `inputs` and runs once more in its backward (layers/activation_checkpoint.hpp).
  std::vector<SketchTensor> checkpointed(
      std::function<std::vector<SketchTensor>(const std::vector<SketchTensor>&)> function,
      const std::vector<SketchTensor>& inputs);

  /// Numbers in the adapters that were met so far, and in the layers under them.
  std::int64_t adapter_numbers() const { return adapter_numbers_; }
  std::int64_t adapted_weight_numbers() const { return adapted_weight_numbers_; }
  /// Whether rollouts have W + dW as one weight: adapters are then no work of their own where nothing is recorded.
  void set_merged(bool on) { merged_ = on; }
  /// Of all gradients that are there.
  std::int64_t gradient_bytes() const;

 private:
  std::int64_t rank(const SketchLayer& layer);
  void add_gradient(const std::string& name, std::vector<std::int64_t> sizes, std::int64_t element);
  std::int64_t element(const SketchTensor& x) const { return machine_.autocast ? 2 : x.element(); }
  SketchTensor adapter_conv(const SketchTensor& x, const SketchLayer& layer, std::int64_t rank, const SketchTensor& y);
  SketchTensor plain_conv(const SketchTensor& x, const SketchLayer& layer, bool trained);

  Sketch& sketch_;
  SketchMachine machine_;
  SketchTraining training_;
  std::map<std::string, std::int64_t> ranks_;
  std::map<std::string, SketchParameter> parameters_;
  std::int64_t adapter_numbers_ = 0, adapted_weight_numbers_ = 0;
  bool merged_ = false;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/sketch_layers.ipp>
#endif
