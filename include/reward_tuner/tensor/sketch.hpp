// Tensors that have sizes and no memory, with a graph like autograd's: what a computation would hold at its peak,
// without computing anything, and the arithmetic that it would be.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace reward_tuner {

struct SketchNode;

/// Sizes of a tensor. Its bytes count while a handle is alive; views share them. Cheap to copy.
class SketchTensor {
 public:
  SketchTensor() = default;

  bool defined() const { return memory_ != nullptr; }
  const std::vector<std::int64_t>& sizes() const { return sizes_; }
  std::int64_t size(std::size_t i) const { return sizes_.at(i); }
  std::int64_t numel() const { return numel(sizes_); }
  std::int64_t element() const { return element_; }  ///< bytes of a number
  std::int64_t bytes() const { return numel() * element_; }
  /// Whether a gradient can reach it.
  bool requires_grad() const { return node_ != nullptr; }

  /// The same memory under other sizes, or a part of it.
  SketchTensor view(std::vector<std::int64_t> sizes) const;
  /// The same values outside of the graph.
  SketchTensor detach() const;
  /// Whether another tensor has the same memory.
  bool shared() const { return memory_.use_count() > 1; }

  static std::int64_t numel(const std::vector<std::int64_t>& sizes);

 private:
  friend class Sketch;
  std::vector<std::int64_t> sizes_;
  std::int64_t element_ = 4;
  bool part_ = false;  // of a view: its memory is another tensor's
  std::shared_ptr<const void> memory_;
  std::shared_ptr<SketchNode> node_;
  std::size_t output_ = 0;  // which of the node's
};

/// An operation that a gradient passes.
struct SketchNode {
  using Backward = std::function<std::vector<SketchTensor>(std::vector<SketchTensor> cotangents)>;
  std::int64_t order = 0;           ///< the latest goes first
  std::vector<SketchTensor> saved;  ///< alive until the backward has passed
  std::vector<std::pair<std::shared_ptr<SketchNode>, std::size_t>> inputs;
  Backward backward;  ///< cotangents of the outputs -> of the inputs, undefined for those that want none
  std::size_t outputs = 1;
};

/// A tensor that an optimizer trains: its gradient stays once it is there.
struct SketchParameter {
  SketchTensor value, gradient = {};
};

/// A computation on sketched tensors: allocates, records, and counts bytes as MemoryMeter does.
class Sketch {
 public:
  Sketch() : count_(std::make_shared<Count>()) {}

  std::int64_t live_bytes() const { return count_->live; }
  std::int64_t peak_bytes() const { return count_->peak; }
  /// The peak counts from the bytes that are alive now.
  void reset_peak() { count_->peak = count_->live; }

  /// A tensor of its own memory.
  SketchTensor empty(std::vector<std::int64_t> sizes, std::int64_t element = 4);
  SketchTensor like(const SketchTensor& x) { return empty(x.sizes(), x.element()); }
  /// Bytes that an operation takes for itself while it runs.
  void workspace(std::int64_t bytes) { count_->peak = std::max(count_->peak, count_->live + bytes); }

  /// Multiplications and additions so far.
  std::int64_t flops() const { return flops_; }
  /// Counts those of products of `numbers` results, each a sum of `terms` products.
  void multiply_add(std::int64_t numbers, std::int64_t terms) { flops_ += 2 * numbers * terms; }

  bool recording() const { return recording_; }
  /// Whether operations are recorded, for the length of a scope.
  class Recording {
   public:
    Recording(Sketch& sketch, bool on) : sketch_(sketch), before_(std::exchange(sketch.recording_, on)) {}
    ~Recording() { sketch_.recording_ = before_; }
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

   private:
    Sketch& sketch_;
    bool before_;
  };

  /// Lets the outputs of an operation carry a gradient to its inputs, if some of them has one and operations are
  /// recorded. `saved` is what its backward needs; `parameters` are trained tensors among its inputs.
  void record(std::vector<SketchTensor*> outputs, const std::vector<SketchTensor>& inputs,
              const std::vector<SketchTensor>& saved, SketchNode::Backward backward, bool parameters = false);
  /// Whether `record` would.
  bool records(const std::vector<SketchTensor>& inputs, bool parameters = false) const;

  /// A leaf that collects a gradient.
  SketchTensor leaf(SketchTensor value, std::shared_ptr<SketchParameter> parameter);
  /// Adds a gradient to a parameter's, whose first one stays.
  void accumulate(SketchParameter& parameter, const SketchTensor& gradient);
  /// One backward pass, which frees the graph behind it.
  void backward(const SketchTensor& root, SketchTensor cotangent);
  void backward(const std::vector<std::pair<SketchTensor, SketchTensor>>& roots);

 private:
  struct Count {
    std::int64_t live = 0, peak = 0;
  };
  SketchTensor sum(SketchTensor a, SketchTensor b);

  std::shared_ptr<Count> count_;
  bool recording_ = false;
  std::int64_t operations_ = 0, flops_ = 0;
};

namespace detail {

/// The cotangents of an operation with one input.
inline std::vector<SketchTensor> only(SketchTensor x) {
  std::vector<SketchTensor> out;
  out.push_back(std::move(x));
  return out;
}

}  // namespace detail

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/tensor/sketch.ipp>
#endif
