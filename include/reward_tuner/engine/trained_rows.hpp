// The backward pass of evaluated rows, shared by every kind of gradient: guidance and the pull to the untuned network.
#pragma once
#include <ATen/ops/full.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <reward_tuner/core/concepts.hpp>
#include <reward_tuner/engine/row_call.hpp>

namespace reward_tuner {

/// The weight of a regularizer that compares trained rows with the untuned network's; 0 for any other.
template <RegularizerPolicy Regularizer>
double reference_weight(const Regularizer& regularizer) {
  return Regularizer::kNeedsReference ? regularizer.weight() : 0.0;
}

/// What the untuned network returns for the rows, without gradient.
template <DiffusionPipeline Pipeline>
RowCall reference_call(Pipeline& pipeline, const RowInputs& rows, NetworkCounts& counts) {
  const torch::NoGradGuard no_grad;
  const auto scope = pipeline.reference_scope();
  return row_call(pipeline, rows, counts);
}

/// A loss in addition to the reward's: weight * sum over rows of mean over elements of (raw - reference)^2, where the
/// two halves of a guided row count half each, so that rows with and without guidance have equal weight.
struct ReferencePull {
  double weight = 0;      // 0: no pull
  Tensor reference = {};  // [d+n,C,h,w] raw rows of the untuned network
};

namespace detail {

/// Adds the pull's gradient to dL/draw [d+n,C,h,w]; returns its loss, double 0-d.
inline Tensor add_pull(Tensor& cotangent, const RowCall& call, const ReferencePull& pull) {
  const Tensor both = beside(call.raw, call.rows.guided_rows());  // [d]
  const Tensor difference = call.raw.detach() - pull.reference;   // [d+n,C,h,w]
  const double share = pull.weight / static_cast<double>(difference[0].numel());
  // [d+n,1,1,1]
  Tensor shares = at::full({call.raw.size(0), 1, 1, 1}, share, call.raw.options().requires_grad(false));
  if (both.numel() > 0) {
    shares.narrow(0, 0, both.numel()).fill_(0.5 * share);
    shares.narrow(0, both.numel(), call.rows.size()).index_fill_(0, both, 0.5 * share);
  }
  cotangent = cotangent + 2.0 * shares * difference;
  return (shares * difference.square()).sum().to(at::kDouble);
}

}  // namespace detail

/// Adds to the parameters' gradients those of a loss whose cotangent at the guided output is Q [n,C,h,w], and of the
/// pull: one network backward. Returns the pull's loss, double 0-d, undefined without. dL/dlatents through the network
/// is then the gradient of `call.rows.latents` if they are a leaf that asks for it.
/// Errors: the rows' outputs carry no graph.
inline Tensor rows_backward(const RowCall& call, const Tensor& cotangent, const ReferencePull& pull,
                            NetworkCounts& counts) {
  REWARD_TUNER_CHECK(call.raw.requires_grad(),
                     "[RewardTuner] the network's output does not depend on anything trainable: attach a LoRA, or let "
                     "parameters require gradients");
  const torch::NoGradGuard no_grad;
  Tensor raw = split_rows(cotangent, call.rows);  // [d+n,C,h,w]
  const Tensor loss = pull.weight > 0 ? detail::add_pull(raw, call, pull) : Tensor();
  counts.backwards += call.rows.batches;
  counts.backward_samples += call.rows.size();
  torch::autograd::backward({call.raw}, {raw});
  return loss;
}

}  // namespace reward_tuner
