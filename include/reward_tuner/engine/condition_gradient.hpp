// The gradient of the text encoder: states collect it from any number of network calls, and one backward of the encoder
// spends it.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/engine/condition_source.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

namespace reward_tuner {

namespace detail {

/// The same condition with states that are leaves.
inline Condition with_leaves(Condition c) {
  for (Tensor* state : states(c))
    if (state->defined()) *state = state->detach().requires_grad_();
  return c;
}

}  // namespace detail

/// The text encoder's part of one optimizer step: dL/dstates is collected at leaves, whatever the network calls are,
/// and `backward` carries it through exploration and the encoder, which is evaluated once more with its graph. The
/// adjoint of the sampler's steps, one stage further: memory of one encoder backward of `at_once` prompts (0: all)
/// whatever T and K. Does nothing, and costs nothing, if the pipeline's text encoder is not trained.
template <DiffusionPipeline Pipeline>
class ConditionGradient {
 public:
  ConditionGradient(Pipeline& pipeline, ConditionSource source, std::int64_t at_once)
      : pipeline_(pipeline), source_(std::move(source)), at_once_(at_once), trained_(trains_condition(pipeline)) {}

  bool trained() const { return trained_; }

  /// The condition with states that collect: of all samples, or a part of them, `rows` (int64 [n], on the CPU) of the
  /// whole. `backward` wants each sample once.
  Condition collect(Condition part, const Tensor& rows = {}) {
    if (!trained_) return part;
    parts_.push_back({detail::with_leaves(std::move(part)), rows});
    return parts_.back().condition;
  }

  /// The samples' condition under the present weights, collecting: they may have changed since the source was encoded.
  Condition renewed() {
    source_.encoded = encode_without_gradient(pipeline_, source_.encoded.prompts);
    return collect(source_.condition());
  }

  /// What collects, in the order of the calls: ranks add it up as they add up the weights' gradients.
  std::vector<Tensor> leaves() {
    std::vector<Tensor> out;
    for (Part& part : parts_)
      for (const Tensor* state : detail::states(part.condition))
        if (state->defined()) out.push_back(*state);
    return out;
  }

  /// Adds what was collected to the gradients of the text encoder's weights.
  void backward() {
    if (parts_.empty()) return;
    const torch::AutoGradMode grad(true);
    const StageScope stage(Stage::kBackward);
    Condition prompts = detail::with_leaves(source_.encoded);  // [P,L,D]
    Condition samples = source_.arrange(prompts);              // [B,L,D]
    Gradients of_samples;
    for (std::size_t i = 0; i < kOfSamples; ++i) of_samples[i] = collected(i, samples.size());
    if (!send(samples, of_samples)) return;
    const std::int64_t count = prompts.size(), at_once = at_once_ > 0 ? std::min(at_once_, count) : count;
    for (std::int64_t begin = 0; begin < count; begin += at_once) {
      const std::int64_t size = std::min(at_once, count - begin);
      const std::vector<std::string> texts(prompts.prompts.begin() + begin, prompts.prompts.begin() + begin + size);
      Condition again = pipeline_.encode(texts);  // [b,L,D] and [b,P], with their graph
      REWARD_TUNER_CHECK(detail::carries_graph(again),
                         "[DiffusionPipeline] trains_condition() is true, so expected encode() to give states with a "
                         "graph where gradients are enabled, got states without");
      Gradients of_prompts;
      const auto all = detail::states(prompts);
      for (std::size_t i = 0; i < all.size(); ++i) {
        const Tensor gradient = all[i]->defined() ? all[i]->grad() : Tensor();
        if (!gradient.defined()) continue;
        if (i < kOfSamples) of_prompts[i] = gradient.narrow(0, begin, size);
        else if (begin == 0) of_prompts[i] = gradient;  // the empty prompt's, once
      }
      send(again, of_prompts);
    }
    parts_.clear();
  }

 private:
  using Gradients = std::array<Tensor, 6>;      // in the order of detail::states, undefined: none
  static constexpr std::size_t kOfSamples = 4;  // of the states; the others are the empty prompt's

  /// A part of the samples, as network calls saw it.
  struct Part {
    Condition condition;
    Tensor rows;  // undefined: all samples
  };

  /// dL/dstate of all samples; undefined if no network call saw the state.
  Tensor collected(std::size_t state, std::int64_t samples) {
    std::vector<Tensor> gradients, rows;
    for (Part& part : parts_) {
      const Tensor& leaf = *detail::states(part.condition)[state];
      if (!leaf.defined() || !leaf.grad().defined()) continue;
      if (!part.rows.defined()) return leaf.grad();
      gradients.push_back(leaf.grad());
      rows.push_back(beside(leaf, part.rows));
    }
    if (rows.empty()) return {};
    auto shape = gradients[0].sizes().vec();
    shape[0] = samples;
    return at::zeros(shape, gradients[0].options()).index_copy(0, at::cat(rows), at::cat(gradients));
  }

  /// Backward from the states, where there is a gradient for them. False if there is none.
  static bool send(Condition& from, const Gradients& gradients) {
    std::vector<Tensor> roots, cotangents;
    const auto all = detail::states(from);
    for (std::size_t i = 0; i < all.size(); ++i)
      if (gradients[i].defined() && all[i]->requires_grad()) {
        roots.push_back(*all[i]);
        cotangents.push_back(gradients[i]);
      }
    if (!roots.empty()) torch::autograd::backward(roots, cotangents);
    return !roots.empty();
  }

  Pipeline& pipeline_;
  ConditionSource source_;
  std::int64_t at_once_;
  bool trained_;
  std::vector<Part> parts_;
};

}  // namespace reward_tuner
