// Definitions of adamw.hpp.
#pragma once
#include <reward_tuner/optim/adamw.hpp>

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE AdamW::AdamW(std::vector<Tensor> parameters, AdamWOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  REWARD_TUNER_CHECK(!parameters_.empty(), "[AdamW] expected at least one parameter, got none");
  REWARD_TUNER_CHECK(options_.learning_rate > 0, "[AdamW] learning_rate must be > 0, got ", options_.learning_rate);
  REWARD_TUNER_CHECK(options_.beta1 >= 0 && options_.beta1 < 1, "[AdamW] beta1 must be in [0, 1), got ",
                     options_.beta1);
  REWARD_TUNER_CHECK(options_.beta2 >= 0 && options_.beta2 < 1, "[AdamW] beta2 must be in [0, 1), got ",
                     options_.beta2);
  REWARD_TUNER_CHECK(options_.epsilon > 0, "[AdamW] epsilon must be > 0, got ", options_.epsilon);
  REWARD_TUNER_CHECK(options_.weight_decay >= 0, "[AdamW] weight_decay must be >= 0, got ", options_.weight_decay);
  for (const Tensor& p : parameters_) {
    REWARD_TUNER_CHECK(p.defined() && p.is_leaf() && p.requires_grad(),
                       "[AdamW] every parameter must be a leaf that requires a gradient");
    first_.push_back(at::zeros_like(p));
    second_.push_back(at::zeros_like(p));
    steps_.push_back(at::zeros({}, p.options().dtype(at::kFloat)));
  }
}

REWARD_TUNER_INLINE void AdamW::step() {
  const torch::NoGradGuard no_grad;
  // the fused kernel needs one device and dtype per call
  std::map<std::pair<c10::Device, at::ScalarType>, Group, ByKind> groups;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].grad().defined()) continue;
    auto& group = groups[{parameters_[i].device(), parameters_[i].scalar_type()}];
    group.parameters.push_back(parameters_[i]);
    group.gradients.push_back(parameters_[i].grad());
    group.first.push_back(first_[i]);
    group.second.push_back(second_[i]);
    steps_[i] += 1;  // the kernel reads the number of the step being made
    group.steps.push_back(steps_[i]);
  }
  for (auto& [kind, g] : groups)
    at::_fused_adamw_(g.parameters, g.gradients, g.first, g.second, {}, g.steps, options_.learning_rate, options_.beta1,
                      options_.beta2, options_.weight_decay, options_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
}

REWARD_TUNER_INLINE void AdamW::zero_grad() {
  for (Tensor& p : parameters_) p.mutable_grad().reset();
}

REWARD_TUNER_INLINE void AdamW::set_learning_rate(double learning_rate) {
  REWARD_TUNER_CHECK(learning_rate >= 0, "[AdamW] learning_rate must be >= 0, got ", learning_rate);
  options_.learning_rate = learning_rate;
}

REWARD_TUNER_INLINE std::map<std::string, Tensor> AdamW::state() const {
  std::map<std::string, Tensor> state;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::string at = std::to_string(i);
    state[at + ".first"] = first_[i];
    state[at + ".second"] = second_[i];
    state[at + ".step"] = steps_[i];
  }
  return state;
}

REWARD_TUNER_INLINE void AdamW::load_state(const std::map<std::string, Tensor>& state) {
  const auto mine = this->state();
  REWARD_TUNER_CHECK(state.size() == mine.size(), "[AdamW] state expected ", mine.size(), " tensors, got ",
                     state.size());
  for (const auto& [name, tensor] : mine) {
    const auto found = state.find(name);
    REWARD_TUNER_CHECK(found != state.end(), "[AdamW] state lacks the tensor ", name);
    REWARD_TUNER_CHECK(found->second.sizes() == tensor.sizes(), "[AdamW] state tensor ", name, " expected shape ",
                       tensor.sizes(), ", got ", found->second.sizes());
  }
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : mine) tensor.copy_(state.at(name));
}

REWARD_TUNER_INLINE bool AdamW::ByKind::operator()(const std::pair<c10::Device, at::ScalarType>& a,
                                                   const std::pair<c10::Device, at::ScalarType>& b) const {
  return std::tuple(a.first.type(), a.first.index(), a.second) < std::tuple(b.first.type(), b.first.index(), b.second);
}

}  // namespace reward_tuner
