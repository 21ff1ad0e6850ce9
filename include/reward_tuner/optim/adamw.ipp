// Definitions of adamw.hpp.
#pragma once
#include <reward_tuner/optim/adamw.hpp>

#include <cmath>

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE void check_options(const AdamWOptions& o, const std::string& where) {
  REWARD_TUNER_CHECK(o.learning_rate > 0 && std::isfinite(o.learning_rate), "[", where,
                     "] learning_rate must be > 0, got ", o.learning_rate);
  REWARD_TUNER_CHECK(o.beta1 >= 0 && o.beta1 < 1, "[", where, "] beta1 must be in [0, 1), got ", o.beta1);
  REWARD_TUNER_CHECK(o.beta2 >= 0 && o.beta2 < 1, "[", where, "] beta2 must be in [0, 1), got ", o.beta2);
  REWARD_TUNER_CHECK(o.epsilon > 0 && std::isfinite(o.epsilon), "[", where, "] epsilon must be > 0, got ", o.epsilon);
  REWARD_TUNER_CHECK(o.weight_decay >= 0 && std::isfinite(o.weight_decay), "[", where,
                     "] weight_decay must be >= 0, got ", o.weight_decay);
}

REWARD_TUNER_INLINE void check_parameters(const std::vector<Tensor>& parameters, const std::string& where) {
  REWARD_TUNER_CHECK(!parameters.empty(), "[", where, "] expected at least one parameter, got none");
  for (const Tensor& p : parameters)
    REWARD_TUNER_CHECK(p.defined() && p.is_leaf() && p.requires_grad(), "[", where,
                       "] every parameter must be a leaf that requires a gradient");
}

REWARD_TUNER_INLINE void load_optimizer_state(const std::map<std::string, Tensor>& mine,
                                              const std::map<std::string, Tensor>& state, const std::string& where) {
  REWARD_TUNER_CHECK(state.size() == mine.size(), "[", where, "] state expected ", mine.size(), " tensors, got ",
                     state.size());
  for (const auto& [name, tensor] : mine) {
    const auto found = state.find(name);
    REWARD_TUNER_CHECK(found != state.end(), "[", where, "] state lacks the tensor ", name);
    REWARD_TUNER_CHECK(found->second.sizes() == tensor.sizes(), "[", where, "] state tensor ", name, " expected shape ",
                       tensor.sizes(), ", got ", found->second.sizes());
    const bool numbers = found->second.is_floating_point() && tensor.is_floating_point();  // these are converted
    REWARD_TUNER_CHECK(numbers || found->second.scalar_type() == tensor.scalar_type(), "[", where, "] state tensor ",
                       name, " expected ", c10::toString(tensor.scalar_type()), ", got ",
                       c10::toString(found->second.scalar_type()));
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : mine) tensor.copy_(state.at(name));
}

REWARD_TUNER_INLINE AdamW::AdamW(std::vector<Tensor> parameters, AdamWOptions options)
    : parameters_(std::move(parameters)), options_(options), learning_rate_(options.learning_rate) {
  check_options(options_, "AdamW");
  check_parameters(parameters_, "AdamW");
  for (const Tensor& p : parameters_) {
    first_.push_back(at::zeros_like(p));
    second_.push_back(at::zeros_like(p));
    steps_.push_back(at::zeros({}, p.options().dtype(at::kFloat)));
  }
}

REWARD_TUNER_INLINE void AdamW::step() {
  const torch::NoGradGuard no_grad;
  // the fused kernel needs one device and dtype per call
  std::map<std::pair<c10::Device, at::ScalarType>, Group, ByKind> groups;
  std::vector<Tensor> steps = steps_;  // all memory is taken before anything changes
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].grad().defined()) continue;
    auto& group = groups[{parameters_[i].device(), parameters_[i].scalar_type()}];
    group.parameters.push_back(parameters_[i]);
    group.gradients.push_back(parameters_[i].grad());
    group.first.push_back(first_[i]);
    group.second.push_back(second_[i]);
    steps[i] = steps_[i] + 1;  // the kernel reads the number of the step being made
    group.steps.push_back(steps[i]);
  }
  for (auto& [kind, g] : groups)
    at::_fused_adamw_(g.parameters, g.gradients, g.first, g.second, {}, g.steps, learning_rate_, options_.beta1,
                      options_.beta2, options_.weight_decay, options_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  for (std::size_t i = 0; i < steps_.size(); ++i)
    if (!steps[i].is_same(steps_[i])) steps_[i].copy_(steps[i]);  // in place: nothing is freed that a meter did not see
}

REWARD_TUNER_INLINE void AdamW::zero_grad() {
  for (Tensor& p : parameters_) p.mutable_grad().reset();
}

REWARD_TUNER_INLINE void AdamW::scale_learning_rate(double factor) {
  REWARD_TUNER_CHECK(factor >= 0 && std::isfinite(factor), "[AdamW] a factor on the learning rate must be >= 0, got ",
                     factor);
  learning_rate_ = options_.learning_rate * factor;
}

REWARD_TUNER_INLINE std::vector<std::string> AdamW::memory_switches() const {
  constexpr std::int64_t kSmallest = 4096;  // as AdamW8bitOptions
  std::int64_t saved = 0;                   // bytes
  for (const Tensor& moment : first_)
    if (moment.numel() >= kSmallest) saved += 2 * (static_cast<std::int64_t>(moment.nbytes()) - moment.numel());
  if (saved < 1 << 20) return {};
  return {"AdamW8bit instead of AdamW (" + std::to_string(saved >> 20) + " MiB less)"};
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
  load_optimizer_state(this->state(), state, "AdamW");
}

REWARD_TUNER_INLINE bool AdamW::ByKind::operator()(const std::pair<c10::Device, at::ScalarType>& a,
                                                   const std::pair<c10::Device, at::ScalarType>& b) const {
  return std::tuple(a.first.type(), a.first.index(), a.second) < std::tuple(b.first.type(), b.first.index(), b.second);
}

}  // namespace reward_tuner
