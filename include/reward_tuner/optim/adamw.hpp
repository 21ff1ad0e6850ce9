// AdamW over a list of tensors by LibTorch's fused kernel, with a state that saves and loads bit for bit.
#pragma once
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/tensor/tensor.hpp>

namespace reward_tuner {

struct AdamWOptions {
  double learning_rate = 2e-5;  ///< step size, > 0 (DRTune-paper 4.1: 2e-5 constant for Stable Diffusion 1.5)
  double beta1 = 0.9;           ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;         ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;        ///< added to the root of the second moment
  double weight_decay = 0.0;    ///< decoupled decay per step, times the learning rate
};

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).
/// A parameter whose gradient is undefined is left alone and its step is not counted, as PyTorch does.
class AdamW {
 public:
  explicit AdamW(std::vector<Tensor> parameters, AdamWOptions options = {})
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

  /// One update from the accumulated gradients.
  void step() {
    const torch::NoGradGuard no_grad;
    // the fused kernel wants one device and dtype a call
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
      at::_fused_adamw_(g.parameters, g.gradients, g.first, g.second, {}, g.steps, options_.learning_rate,
                        options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon, /*amsgrad=*/false,
                        /*maximize=*/false);
  }

  /// Drops the gradients.
  void zero_grad() {
    for (Tensor& p : parameters_) p.mutable_grad().reset();
  }

  void set_learning_rate(double learning_rate) {
    REWARD_TUNER_CHECK(learning_rate >= 0, "[AdamW] learning_rate must be >= 0, got ", learning_rate);
    options_.learning_rate = learning_rate;
  }
  const AdamWOptions& options() const { return options_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }

  /// Moments and step counts under "<index>.first", "<index>.second", "<index>.step".
  std::map<std::string, Tensor> state() const {
    std::map<std::string, Tensor> state;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const std::string at = std::to_string(i);
      state[at + ".first"] = first_[i];
      state[at + ".second"] = second_[i];
      state[at + ".step"] = steps_[i];
    }
    return state;
  }
  /// Continues from a state of an optimizer over the same list of shapes; anything else is an error and changes
  /// nothing.
  void load_state(const std::map<std::string, Tensor>& state) {
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

 private:
  struct Group {
    std::vector<Tensor> parameters, gradients, first, second, steps;
  };
  struct ByKind {
    bool operator()(const std::pair<c10::Device, at::ScalarType>& a,
                    const std::pair<c10::Device, at::ScalarType>& b) const {
      return std::tuple(a.first.type(), a.first.index(), a.second) <
             std::tuple(b.first.type(), b.first.index(), b.second);
    }
  };

  std::vector<Tensor> parameters_;
  AdamWOptions options_;
  std::vector<Tensor> first_, second_, steps_;
};

}  // namespace reward_tuner
