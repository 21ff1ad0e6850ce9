// What a tuner and a run require of an optimizer, and gradient clipping.
#pragma once
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <cmath>
#include <concepts>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

/// An optimizer over a fixed list of tensors: AdamW or anything with these three verbs.
template <class O>
concept Optimizer = requires(O o) {
  o.step();
  o.zero_grad();
  { o.parameters() } -> std::convertible_to<std::vector<Tensor>>;
};

/// An optimizer whose state a checkpoint can hold: what a Trainer needs. AdamW has it; torch::optim's have not, whose
/// state is keyed by addresses.
template <class O>
concept ResumableOptimizer = Optimizer<O> && requires(O o, const O saved, const std::map<std::string, Tensor>& state) {
  { saved.state() } -> std::convertible_to<std::map<std::string, Tensor>>;
  o.load_state(state);
};

/// An optimizer whose learning rates a schedule can change (learning_rate.hpp). The factor is on its own rates as they
/// were given: of several groups of parameters each keeps its rate's ratio to the others'. `learning_rate` is the rate
/// in force, of several groups that of the first.
template <class O>
concept ScheduledOptimizer = Optimizer<O> && requires(O o, const O asked) {
  o.scale_learning_rate(0.5);
  { asked.learning_rate() } -> std::convertible_to<double>;
};

/// What in place of the optimizer would take less memory, a switch each: the optional member
/// `std::vector<std::string> memory_switches() const`; none of an optimizer without it.
template <Optimizer Optim>
std::vector<std::string> memory_switches([[maybe_unused]] const Optim& optimizer) {
  if constexpr (requires { optimizer.memory_switches(); }) return optimizer.memory_switches();
  else return {};
}

/// Divides the gradients of the optimizer's parameters by `scale` (GradientScale), then scales them down to a whole
/// norm of `largest` (0: no limit), and returns the norm between the two. A norm that is not finite leaves them as they
/// are; -1 says that no parameter has a gradient.
template <Optimizer Optim>
double clip_gradients(Optim& optimizer, double largest, double scale = 1) {
  const torch::NoGradGuard no_grad;
  std::vector<Tensor> gradients;
  for (const Tensor& p : optimizer.parameters())
    if (p.grad().defined()) gradients.push_back(p.grad());
  if (gradients.empty()) return -1;
  const double norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients))).template item<double>() / scale;
  if (!std::isfinite(norm)) return norm;
  const double factor = (largest > 0 && norm > largest ? largest / norm : 1) / scale;
  if (factor != 1) at::_foreach_mul_(gradients, factor);
  return norm;
}

}  // namespace reward_tuner
