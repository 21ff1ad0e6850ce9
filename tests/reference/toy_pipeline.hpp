// A small pipeline for proofs: a few hundred parameters, any dtype, everything differentiable. Double makes identities
// exact to rounding.
#pragma once
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/stack.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/models/condition.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/test_device.hpp>

namespace reward_tuner::reference {

struct ToyOptions {
  std::int64_t channels = 2;           ///< C of the latents
  std::int64_t side = 4;               ///< h = w of the latents
  std::int64_t width = 5;              ///< hidden channels
  std::int64_t kernel = 3;             ///< side of the convolutions
  at::ScalarType dtype = at::kDouble;  ///< of weights and latents
  at::Device device = test_device();   ///< of both
  NoiseScheduleConfig schedule = {};   ///< what the sampler reads
  std::uint64_t seed = 7;              ///< of the weights
};

/// output = conv(tanh(conv(tanh(conv(x) + time + text)))) + x/5, with a reference copy of the initial weights.
class ToyPipeline {
  /// Restores the flag it was given on destruction.
  struct Scope {
    explicit Scope(bool& flag, bool value) : flag_(flag), before_(flag) { flag_ = value; }
    Scope(const Scope&) = delete;
    ~Scope() { flag_ = before_; }
    bool& flag_;
    bool before_;
  };

 public:
  explicit ToyPipeline(ToyOptions options = {}) : options_(options), schedule_(options.schedule) {
    Rng rng(options_.seed);
    const auto c = options_.channels, w = options_.width, s = options_.kernel;
    const auto add = [&](std::vector<std::int64_t> shape, double scale) {
      reference_.push_back(rng.normal(shape, latent_options()) * scale);
    };
    add({w, c, s, s}, 0.5 / std::sqrt(static_cast<double>(c)));                             // 0 first convolution
    add({w}, 0.1);                                                                          // 1 its bias
    add({w, kTime}, 0.5);                                                                   // 2 time
    add({w, kText}, 0.7);                                                                   // 3 text
    add({w, w, s, s}, 0.6 / (static_cast<double>(s) * std::sqrt(static_cast<double>(w))));  // 4 second convolution
    add({c, w, s, s}, 0.8 / std::sqrt(static_cast<double>(w)));                             // 5 last convolution
    add({c}, 0.1);                                                                          // 6 its bias
    for (const Tensor& t : reference_) parameters_.push_back(t.clone().requires_grad_());
    mix_ = rng.normal({3, c, 1, 1}, latent_options());
  }

  Condition encode(const std::vector<std::string>& prompts) {
    std::vector<Tensor> positive, negative;
    for (const auto& prompt : prompts) {
      positive.push_back(text(prompt));
      negative.push_back(text(""));
    }
    return {{at::stack(positive)}, {at::stack(negative)}, prompts};
  }

  Tensor predict(const Tensor& latents, const Tensor& timesteps, const Conditioning& conditioning) {
    ++calls;
    rows += latents.size(0);
    const auto& p = use_reference_ ? reference_ : parameters_;
    const Tensor t = timesteps.to(latents.options()) / 1000.0;                                  // [N]
    const Tensor time = at::stack({t, (3.0 * t).sin(), (7.0 * t).cos(), (20.0 * t).sin()}, 1);  // [N,4]
    const Tensor words = conditioning.embeddings.mean(1);                                       // [N,3]
    const Tensor bias = at::linear(time, p[2]) + at::linear(words, p[3]);                       // [N,w]
    const auto same = options_.kernel / 2;
    Tensor h = at::conv2d(latents, p[0], p[1], 1, same) + bias.unsqueeze(2).unsqueeze(3);  // [N,w,h,w]
    h = at::conv2d(h.tanh(), p[4], {}, 1, same).tanh();                                    // [N,w,h,w]
    return at::conv2d(h, p[5], p[6], 1, same) + 0.2 * latents;                             // [N,C,h,w]
  }

  Tensor decode(const Tensor& latents) {
    const Tensor y = at::conv2d(latents, mix_);  // [N,3,h,w]
    return 0.5 + 0.1 * y + 0.05 * y.sin();
  }

  std::vector<std::int64_t> latent_shape(std::int64_t n) const {
    return {n, options_.channels, options_.side, options_.side};
  }
  at::TensorOptions latent_options() const { return at::TensorOptions().dtype(options_.dtype).device(options_.device); }
  const NoiseSchedule& noise_schedule() const { return schedule_; }
  Scope rollout_scope() { return Scope(in_rollout_, true); }
  Scope reference_scope() { return Scope(use_reference_, true); }

  std::vector<Tensor>& parameters() { return parameters_; }
  const ToyOptions& options() const { return options_; }
  /// Moves the weights away from the reference.
  void disturb(std::uint64_t seed, double size) {
    const torch::NoGradGuard no_grad;
    Rng rng(seed);
    for (Tensor& p : parameters_) p.add_(rng.normal(p.sizes(), p.options()), size);
  }

  std::int64_t calls = 0, rows = 0;  ///< network calls and their batch rows so far

 private:
  static constexpr std::int64_t kTime = 4, kText = 3, kWords = 2;
  Tensor text(const std::string& prompt) const {
    std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a
    for (const char c : prompt) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return Rng(hash).normal({kWords, kText}, latent_options());  // [L,D]
  }

  ToyOptions options_;
  NoiseSchedule schedule_;
  std::vector<Tensor> parameters_, reference_;
  Tensor mix_;
  bool use_reference_ = false, in_rollout_ = false;
};
static_assert(DiffusionPipeline<ToyPipeline>);

}  // namespace reward_tuner::reference
