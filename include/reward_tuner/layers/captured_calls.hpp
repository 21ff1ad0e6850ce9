// Calls of a function of tensors that are recorded once and then replayed, while what they read stays where it is.
#pragma once
#include <c10/core/StorageImpl.h>
#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/layers/graph_recorder.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// What a call depends on beside its inputs.
struct CallState {
  std::vector<Tensor> reads = {};           ///< whose memory it reads: weights
  std::vector<std::int64_t> settings = {};  ///< how it computes: whatever changes its operators or numbers in them
};

/// `value` in the memory of `place` if that is its like, else in its own, which is the place from then on.
inline Tensor written_in_place(const Tensor& value, Tensor& place) {
  const bool like = place.defined() && place.scalar_type() == value.scalar_type() && place.device() == value.device() &&
                    place.sizes() == value.sizes() && place.strides() == value.strides();
  if (!like) return place = value;
  place.copy_(value);
  return place;
}

/// How calls were made so far.
struct CaptureCounts {
  std::int64_t plain = 0;     ///< by the function itself
  std::int64_t recorded = 0;  ///< recordings made, each for a call and its replay
  std::int64_t replayed = 0;  ///< by a recording
};

/// A function of tensors by recordings. The first call with inputs of a form (types, shapes, strides) in a state runs
/// plainly, the second records, the others replay: inputs are copied into memory of the recording, and its answer into
/// a new tensor, so that the numbers are the function's own. Weights whose values change in place are read as they are;
/// where one has other memory, the call has another state. A form that a rollout meets once is never recorded.
/// Without gradient, of one thread at a time. Memory: each recording keeps its inputs and answer, and the device what
/// its work writes in between.
class CapturedCalls {
 public:
  using Call = std::function<Tensor(const std::vector<Tensor>& inputs)>;

  /// `name` heads the sentence that says why nothing is recorded any more.
  CapturedCalls(std::string name, GraphRecorder recorder) : name_(std::move(name)), recorder_(std::move(recorder)) {}

  /// call(inputs). Undefined inputs stay so. Of `call` a recording keeps a copy: what it refers to must live as long as
  /// the tensors of `state.reads`. After an error in recording, which a note tells, all calls run plainly.
  Tensor operator()(const std::vector<Tensor>& inputs, const CallState& state, const Call& call);

  const CaptureCounts& counts() const { return counts_; }
  /// How many are kept; the one that was used longest ago goes when there are more than kMost.
  std::size_t recordings() const;
  static constexpr std::size_t kMost = 8;

 private:
  /// Memory that a call reads. The weak reference keeps its address from being given to another.
  struct Memory {
    c10::weak_intrusive_ptr<c10::StorageImpl> storage;
    const void* data;
  };
  struct Known {
    std::vector<std::int64_t> form;
    std::vector<Memory> reads;
    std::vector<Tensor> inputs = {};
    Tensor answer = {};
    std::unique_ptr<Recording> recording = nullptr;
    std::int64_t used = 0;
  };

  static std::vector<std::int64_t> form_of(const std::vector<Tensor>& inputs, const CallState& state);
  static bool same(const Known& known, const std::vector<std::int64_t>& form, const std::vector<Tensor>& reads);
  Known* find(const std::vector<std::int64_t>& form, const CallState& state);
  void remember(std::vector<std::int64_t> form, const CallState& state);
  void record(Known& known, const std::vector<Tensor>& inputs, const Call& call);

  std::string name_;
  GraphRecorder recorder_;
  bool off_ = false;
  std::int64_t clock_ = 0;
  CaptureCounts counts_;
  std::vector<std::unique_ptr<Known>> known_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/layers/captured_calls.ipp>
#endif
