// Regularizers with a loss of their own, apart from the trained steps.
#pragma once
#include <torch/autograd.h>
#include <torch/types.h>

#include <concepts>
#include <cstdint>

#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/tensor/rng.hpp>
#include <reward_tuner/tuner/update_report.hpp>

namespace reward_tuner {

namespace detail {

/// What must stand beside an own_loss; without it the loss would be left out unsaid.
template <class R>
constexpr bool whole_own_loss() {
  constexpr bool kWhole = requires(const R regularizer) {
    { regularizer.own_rows() } -> std::convertible_to<std::int64_t>;
    { regularizer.alternates() } -> std::convertible_to<bool>;
  };
  static_assert(
      kWhole, "[RegularizerPolicy] missing beside own_loss: std::int64_t own_rows() const and bool alternates() const");
  return kWhole;
}

}  // namespace detail

/// A regularizer with a loss of its own: `own_loss(pipeline, rng)` gives a scalar or, if it is switched off, an
/// undefined tensor; `own_rows()` says of how many samples its network call is, `alternates()` whether it gets an
/// optimizer step of its own after the reward's.
template <class R, class Pipeline>
concept HasOwnLoss = requires(const R regularizer, Pipeline& pipeline, Rng& rng) {
  regularizer.own_loss(pipeline, rng);
} && detail::whole_own_loss<R>();

template <class Regularizer, DiffusionPipeline Pipeline>
bool regularizer_alternates([[maybe_unused]] const Regularizer& regularizer, const Pipeline&) {
  if constexpr (HasOwnLoss<Regularizer, Pipeline>) return regularizer.alternates();
  else return false;
}

/// Adds the gradients of the regularizer's own loss. False if it has none.
template <class Regularizer, DiffusionPipeline Pipeline>
bool accumulate_own_loss([[maybe_unused]] const Regularizer& regularizer, [[maybe_unused]] Pipeline& pipeline,
                         [[maybe_unused]] Rng& rng, [[maybe_unused]] NetworkCounts& counts,
                         [[maybe_unused]] UpdateReport& report) {
  if constexpr (HasOwnLoss<Regularizer, Pipeline>) {
    const torch::AutoGradMode grad(true);
    const Tensor loss = regularizer.own_loss(pipeline, rng);
    if (!loss.defined()) return false;
    ++counts.forwards;
    ++counts.backwards;
    counts.forward_samples += regularizer.own_rows();
    counts.backward_samples += regularizer.own_rows();
    report.regularizer += loss.template item<double>();
    report.loss += loss.template item<double>();
    torch::autograd::backward({loss}, {});
    return true;
  } else {
    return false;
  }
}

}  // namespace reward_tuner
