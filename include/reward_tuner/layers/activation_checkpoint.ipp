// Definitions of activation_checkpoint.hpp.
#pragma once
#include <reward_tuner/layers/activation_checkpoint.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE variable_list trainable_tensors(const torch::nn::Module& module) {
  variable_list all;
  for (const Tensor& p : module.parameters())
    if (p.requires_grad()) all.push_back(p);
  for (const auto& part : module.modules())
    if (const auto layer = std::dynamic_pointer_cast<AdaptableLayer>(part); layer)
      for (const auto& adapter : layer->adapters())
        for (const Tensor& factor : {adapter->factors.down, adapter->factors.up})
          if (factor.requires_grad()) all.push_back(factor);
  return all;
}

namespace detail {

/// What a checkpointed part needs to run again, carried through autograd as an opaque pointer.
struct CheckpointedCall : torch::CustomClassHolder {
  CheckpointedCall(std::function<variable_list(const variable_list&)> run, std::size_t inputs,
                   std::optional<at::ScalarType> autocast)
      : function(std::move(run)), num_inputs(inputs), autocast_type(autocast) {}
  std::function<variable_list(const variable_list&)> function;
  std::size_t num_inputs;                       // the rest of the saved tensors are what `function` captures
  std::optional<at::ScalarType> autocast_type;  // autograd may run the backward in a thread of its own
};

struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  static variable_list forward(torch::autograd::AutogradContext* context,
                               const c10::intrusive_ptr<CheckpointedCall>& call, at::TensorList tensors) {
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    context->save_for_backward(tensors.vec());
    const torch::NoGradGuard no_grad;
    return call->function(
        variable_list(tensors.begin(), tensors.begin() + static_cast<std::ptrdiff_t>(call->num_inputs)));
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list cotangents) {
    const auto call = c10::static_intrusive_pointer_cast<CheckpointedCall>(context->saved_data["call"].toCapsule());
    variable_list tensors = context->get_saved_variables(), wanted, outputs;
    variable_list inputs;
    for (std::size_t i = 0; i < call->num_inputs; ++i) {
      tensors[i] = tensors[i].detach().requires_grad_(tensors[i].requires_grad());
      inputs.push_back(tensors[i]);
    }
    for (const Tensor& t : tensors)
      if (t.requires_grad()) wanted.push_back(t);
    {
      const torch::AutoGradMode grad(true);
      const AutocastScope autocast(inputs[0].device().type(), call->autocast_type);
      outputs = call->function(inputs);
    }
    variable_list roots, seeds;  // an unused output, or one that needs no gradient, has no cotangent
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i].requires_grad() && cotangents[i].defined())
        roots.push_back(outputs[i]), seeds.push_back(cotangents[i]);
    const variable_list gradients = torch::autograd::grad(roots, wanted, seeds, /*retain_graph=*/false,
                                                          /*create_graph=*/false, /*allow_unused=*/true);
    variable_list out{Tensor()};  // nothing for the call itself
    std::size_t next = 0;
    for (const Tensor& t : tensors) out.push_back(t.requires_grad() ? gradients[next++] : Tensor());
    return out;
  }
};

}  // namespace detail

REWARD_TUNER_INLINE variable_list checkpointed(std::function<variable_list(const variable_list&)> function,
                                               variable_list inputs, const variable_list& captured) {
  bool needed = false;
  for (const Tensor& t : inputs) needed = needed || t.requires_grad();
  if (!torch::GradMode::is_enabled() || !(needed || !captured.empty())) return function(inputs);
  const std::size_t count = inputs.size();
  const auto autocast = autocast_dtype(inputs[0].device().type());
  inputs.insert(inputs.end(), captured.begin(), captured.end());
  return detail::CheckpointFunction::apply(
      c10::make_intrusive<detail::CheckpointedCall>(std::move(function), count, autocast), at::TensorList(inputs));
}

}  // namespace reward_tuner
