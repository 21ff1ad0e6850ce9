// Definitions of captured_calls.hpp.
#pragma once
#include <reward_tuner/layers/captured_calls.hpp>

#include <torch/types.h>

#include <algorithm>
#include <exception>
#include <string>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE Tensor CapturedCalls::operator()(const std::vector<Tensor>& inputs, const CallState& state,
                                                     const Call& call) {
  if (off_ || !recorder_.record || torch::GradMode::is_enabled()) {
    ++counts_.plain;
    return call(inputs);
  }
  auto form = form_of(inputs, state);
  Known* known = find(form, state);
  if (known == nullptr) {
    ++counts_.plain;
    Tensor answer = call(inputs);  // an error here is the call's own, and leaves nothing
    remember(std::move(form), state);
    return answer;
  }
  known->used = ++clock_;
  if (!known->recording) {
    try {
      record(*known, inputs, call);
    } catch (const std::exception& problem) {
      off_ = true;
      known_.clear();
      std::string why = problem.what();
      why = why.substr(0, why.find('\n'));
      note("[", name_, "] steps of rollouts are not captured any more and run as without capture_rollout: '", why, "'");
      ++counts_.plain;
      return call(inputs);
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined()) known->inputs[i].copy_(inputs[i], /*non_blocking=*/true);
  known->recording->replay();
  ++counts_.replayed;
  return known->answer.clone();
}

REWARD_TUNER_INLINE std::size_t CapturedCalls::recordings() const {
  return static_cast<std::size_t>(
      std::count_if(known_.begin(), known_.end(), [](const auto& known) { return known->recording != nullptr; }));
}

REWARD_TUNER_INLINE std::vector<std::int64_t> CapturedCalls::form_of(const std::vector<Tensor>& inputs,
                                                                     const CallState& state) {
  std::vector<std::int64_t> form = state.settings;
  for (const Tensor& input : inputs) {
    form.push_back(input.defined() ? input.dim() : -1);
    if (!input.defined()) continue;
    form.insert(form.end(), {static_cast<std::int64_t>(input.scalar_type()),
                             static_cast<std::int64_t>(input.device().type()), input.device().index()});
    form.insert(form.end(), input.sizes().begin(), input.sizes().end());
    form.insert(form.end(), input.strides().begin(), input.strides().end());
  }
  return form;
}

REWARD_TUNER_INLINE bool CapturedCalls::same(const Known& known, const std::vector<std::int64_t>& form,
                                             const std::vector<Tensor>& reads) {
  return known.form == form &&
         std::equal(known.reads.begin(), known.reads.end(), reads.begin(), reads.end(),
                    [](const Memory& memory, const Tensor& now) {
                      return memory.data == now.const_data_ptr() &&
                             memory.storage._unsafe_get_target() == now.storage().unsafeGetStorageImpl();
                    });
}

REWARD_TUNER_INLINE CapturedCalls::Known* CapturedCalls::find(const std::vector<std::int64_t>& form,
                                                              const CallState& state) {
  const auto found =
      std::find_if(known_.begin(), known_.end(), [&](const auto& known) { return same(*known, form, state.reads); });
  return found != known_.end() ? found->get() : nullptr;
}

REWARD_TUNER_INLINE void CapturedCalls::remember(std::vector<std::int64_t> form, const CallState& state) {
  std::erase_if(known_, [](const auto& known) {  // what they read is gone
    return std::any_of(known->reads.begin(), known->reads.end(),
                       [](const Memory& memory) { return memory.storage.expired(); });
  });
  if (known_.size() >= kMost)
    known_.erase(
        std::min_element(known_.begin(), known_.end(), [](const auto& a, const auto& b) { return a->used < b->used; }));
  auto known = std::make_unique<Known>();
  known->form = std::move(form);
  known->used = ++clock_;
  for (const Tensor& read : state.reads)
    known->reads.push_back({read.storage().getWeakStorageImpl(), read.const_data_ptr()});
  known_.push_back(std::move(known));
}

REWARD_TUNER_INLINE void CapturedCalls::record(Known& known, const std::vector<Tensor>& inputs, const Call& call) {
  const RecordingScope scope;
  const UncachedAutocast uncached;  // kept casts go with autocast's scope, and have the weights of today
  for (const Tensor& input : inputs) known.inputs.push_back(input.defined() ? input.detach().clone() : input);
  at::Device device = at::kCPU;
  for (const Tensor& input : inputs)
    if (input.defined() && device.is_cpu()) device = input.device();
  known.recording = recorder_.record(device, [&known, call] { known.answer = call(known.inputs); });
  ++counts_.recorded;
}

}  // namespace reward_tuner
