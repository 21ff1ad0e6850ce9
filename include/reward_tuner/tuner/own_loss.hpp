// Regularizers with a loss of their own, apart from the trained steps.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <reward_tuner/core/policy_traits.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

/// Whether the regularizer has a loss of its own; one that does not fit the pipeline is a compile error.
template <class Regularizer, class Pipeline>
constexpr bool has_own_loss() {
  if constexpr (RegularizerTraits<Regularizer>::kOwnLoss) {
    static_assert(has::own_loss<Regularizer, Pipeline>,
                  "[RegularizerPolicy] optional member with another signature, expected: "
                  "template <class Pipeline> Tensor own_loss(Pipeline&, Rng&) const");
    return has::own_loss<Regularizer, Pipeline>;
  }
  return false;
}

/// Adds the gradients of the regularizer's own loss. False if it has none.
template <class Regularizer, DiffusionPipeline Pipeline>
bool accumulate_own_loss([[maybe_unused]] const Regularizer& regularizer, [[maybe_unused]] Pipeline& pipeline,
                         [[maybe_unused]] Rng& rng, [[maybe_unused]] NetworkCounts& counts,
                         [[maybe_unused]] UpdateReport& report) {
  if constexpr (has_own_loss<Regularizer, Pipeline>()) {
    const torch::AutoGradMode grad(true);
    const StageScope stage(Stage::kBackward);
    const Tensor loss = regularizer.own_loss(pipeline, rng);
    if (!loss.defined()) return false;
    ++counts.forwards;
    ++counts.backwards;
    counts.forward_samples += regularizer.own_rows();
    counts.backward_samples += regularizer.own_rows();
    torch::autograd::backward({loss}, {});
    const auto value = loss.template item<double>();
    report.regularizer += value;
    report.loss += value;
    return true;
  } else {
    return false;
  }
}

}  // namespace reward_tuner
