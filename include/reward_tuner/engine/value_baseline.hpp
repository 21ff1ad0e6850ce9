// A small network that learns the expected reward of a state, the baseline of DPOK. Its weights are plain tensors that
// the tuner keeps.
#pragma once
#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <reward_tuner/engine/transitions.hpp>
#include <reward_tuner/objectives/kl_regularized.hpp>
#include <reward_tuner/optim/adamw.hpp>
#include <reward_tuner/tensor/device.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace reward_tuner {

/// V(x_t, t, text): two hidden layers of 128 over the latent pooled to 4 x 4, the mean of the text states and four
/// waves of the time (Fan et al. 2023, appendix B, with a smaller network). `State` is empty until the first fit; V is
/// 0 then. Functions of values only: equal state, features and stream give equal results.
class ValueBaseline {
 public:
  using State = std::map<std::string, Tensor>;
  explicit ValueBaseline(ValueBaselineOptions options) : options_(options) {}

  /// What V sees of all N samples at step k. -> float [N,F]
  static Tensor features(const Transitions& t, int k) {
    const Tensor latent = at::adaptive_avg_pool2d(t.latent(k).to(at::kFloat), {4, 4}).flatten(1);  // [N,16C]
    const Tensor text = t.setup.condition.positive.embeddings.to(at::kFloat).mean(1);              // [N,D]
    const double time = static_cast<double>(k) / static_cast<double>(t.setup.schedule.num_steps());
    const Tensor phase = at::full({latent.size(0), 1}, time, latent.options());  // [N,1]
    return at::cat({latent, text, phase, (3.0 * phase).sin(), (7.0 * phase).cos(), (20.0 * phase).sin()}, 1);
  }

  /// V of features [n,F]. -> double [n]
  static Tensor values(const State& state, const Tensor& features) {
    const torch::NoGradGuard no_grad;
    if (state.empty()) return at::zeros({features.size(0)}, features.options().dtype(at::kDouble));
    return forward(loaded(state, features), features).to(at::kDouble);
  }

  /// Some AdamW steps on mean (V - target)^2 over random rows. features [n,F], targets double [n]. Returns the last
  /// step's loss.
  double fit(State& state, const Tensor& features, const Tensor& targets, Rng& rng) const {
    std::vector<Tensor> weights = state.empty() ? fresh(features.size(1), rng) : loaded(state, features);
    for (Tensor& w : weights) w = w.to(features.options()).detach().clone().requires_grad_();
    AdamW optimizer(weights, {.learning_rate = options_.learning_rate});
    if (!state.empty()) {
      std::map<std::string, Tensor> moments;
      for (const auto& [name, value] : state)
        if (name.starts_with("optimizer.")) moments.emplace(name.substr(10), value);
      optimizer.load_state(moments);
    }
    const std::int64_t batch = std::min<std::int64_t>(options_.batch, features.size(0));
    Tensor last;  // 0-d
    for (int step = 0; step < options_.steps; ++step) {
      const torch::AutoGradMode grad(true);
      const Tensor rows = beside(features, rng.permutation(features.size(0)).narrow(0, 0, batch));  // [b]
      const Tensor loss =
          at::mse_loss(forward(weights, features.index_select(0, rows)), targets.index_select(0, rows).to(at::kFloat));
      optimizer.zero_grad();
      torch::autograd::backward({loss}, {});
      optimizer.step();
      last = loss.detach();
    }
    state.clear();
    for (std::size_t i = 0; i < weights.size(); ++i) state["value." + std::to_string(i)] = weights[i].detach();
    for (const auto& [name, value] : optimizer.state()) state["optimizer." + name] = value;
    return last.template item<double>();
  }

 private:
  static constexpr std::int64_t kWidth = 128;
  static std::vector<Tensor> fresh(std::int64_t features, Rng& rng) {
    const auto layer = [&](std::int64_t out, std::int64_t in) {
      return rng.normal({out, in}) / std::sqrt(static_cast<double>(in));
    };
    // V starts at 0
    return {layer(kWidth, features), at::zeros({kWidth}),    layer(kWidth, kWidth),
            at::zeros({kWidth}),     at::zeros({1, kWidth}), at::zeros({1})};
  }
  /// V's weights where the features are: a resumed state is on the CPU.
  static std::vector<Tensor> loaded(const State& state, const Tensor& features) {
    std::vector<Tensor> weights;
    for (int i = 0; i < 6; ++i) weights.push_back(state.at("value." + std::to_string(i)).to(features.options()));
    return weights;
  }
  static Tensor forward(const std::vector<Tensor>& w, const Tensor& x) {
    // [n]
    return at::linear(at::silu(at::linear(at::silu(at::linear(x, w[0], w[1])), w[2], w[3])), w[4], w[5]).squeeze(1);
  }

  ValueBaselineOptions options_;
};

}  // namespace reward_tuner
