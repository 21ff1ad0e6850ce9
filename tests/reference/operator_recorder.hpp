// A recorder of calls on the CPU that has the rules of a CUDA graph: operators are done again on the memory that they
// were recorded with, numbers of the host are those of the recording, and nothing may be read back.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>
#include <torch/types.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/layers/graph_recorder.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner::reference {

/// Its operators as one after another ran, each with the memory of its tensors.
class OperatorRecording final : public Recording {
 public:
  explicit OperatorRecording(const std::function<void()>& work) {
    OperatorRecording*& now = present();
    now = this;
    try {
      const c10::impl::IncludeDispatchKeyGuard listen(kKey);
      work();
    } catch (...) {
      now = nullptr;
      throw;
    }
    now = nullptr;
    // what a graph writes is not there before its first replay
    for (const Step& step : steps_)
      for (const Tensor& t : written(step))
        if (t.is_floating_point()) t.fill_(std::numeric_limits<double>::quiet_NaN());
  }
  void replay() override {
    const c10::impl::ExcludeDispatchKeyGuard alone(kKey);
    for (const Step& step : steps_) {
      torch::jit::Stack stack = step.inputs;
      step.op.callBoxed(&stack);
      if (step.op.schema().is_mutable()) continue;
      const auto places = tensors(step.outputs), values = tensors(stack);
      for (std::size_t i = 0; i < places.size(); ++i)
        if (fresh(places[i], step)) places[i].copy_(values[i]);
    }
  }
  std::size_t size() const { return steps_.size(); }

 private:
  static constexpr auto kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;
  struct Step {
    c10::OperatorHandle op;
    torch::jit::Stack inputs, outputs;
  };

  static OperatorRecording*& present() {
    thread_local OperatorRecording* recording = nullptr;
    return recording;
  }
  static std::vector<Tensor> tensors(const torch::jit::Stack& values) {
    std::vector<Tensor> out;
    for (const c10::IValue& value : values) {
      if (value.isTensor() && value.toTensor().defined()) out.push_back(value.toTensor());
      if (value.isTensorList())
        for (const Tensor& t : value.toTensorVector()) out.push_back(t);
    }
    return out;
  }
  /// Whether an output has memory of its own.
  static bool fresh(const Tensor& output, const Step& step) {
    for (const Tensor& input : tensors(step.inputs))
      if (input.is_alias_of(output)) return false;
    return true;
  }
  static std::vector<Tensor> written(const Step& step) {
    std::vector<Tensor> out;
    for (const Tensor& t : tensors(step.outputs))
      if (!step.op.schema().is_mutable() && fresh(t, step)) out.push_back(t);
    return out;
  }
  /// The same values at the memory of now, wherever a tensor moves later.
  static torch::jit::Stack at_memory(const torch::jit::Stack& values) {
    torch::jit::Stack out;
    for (const c10::IValue& value : values) {
      if (value.isTensor() && value.toTensor().defined()) {
        out.emplace_back(value.toTensor().detach());
      } else if (value.isTensorList()) {
        std::vector<Tensor> all;
        for (const Tensor& t : value.toTensorVector()) all.push_back(t.detach());
        out.emplace_back(all);
      } else {
        out.push_back(value);
      }
    }
    return out;
  }
  static void intercept(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
    const c10::impl::ExcludeDispatchKeyGuard alone(kKey);
    OperatorRecording* recording = present();
    const std::string& name = op.schema().name();
    REWARD_TUNER_CHECK(recording == nullptr || (name != "aten::item" && name != "aten::_local_scalar_dense"),
                       "[OperatorRecorder] the host reads a number of the device: expected none in a recording");
    const auto from = static_cast<std::ptrdiff_t>(op.schema().arguments().size());
    const torch::jit::Stack inputs = at_memory({stack->end() - from, stack->end()});
    op.callBoxed(stack);
    if (recording == nullptr) return;
    const auto results = static_cast<std::ptrdiff_t>(op.schema().returns().size());
    recording->steps_.push_back({op, inputs, at_memory({stack->end() - results, stack->end()})});
  }
  static bool install() {
    static torch::Library every(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
    every.fallback(torch::CppFunction::makeFromBoxedFunction<&intercept>());
    return true;
  }
  inline static const bool installed_ = install();

  std::vector<Step> steps_;
};

/// That recorder in force while one lives.
class OperatorRecorder {
 public:
  OperatorRecorder() : before_(std::exchange(graph_recorder(), recorder())) {}
  static GraphRecorder recorder() {
    return {c10::DeviceType::CPU, [](c10::Device, const std::function<void()>& work) {
              work();  // as CUDA's does, for libraries that allocate at their first call
              return std::make_unique<OperatorRecording>(work);
            }};
  }
  ~OperatorRecorder() { graph_recorder() = std::move(before_); }
  OperatorRecorder(const OperatorRecorder&) = delete;
  OperatorRecorder& operator=(const OperatorRecorder&) = delete;

 private:
  GraphRecorder before_;
};

}  // namespace reward_tuner::reference
