// A pipeline whose denoiser is exactly right: the data are N(mean, deviation^2), mean and log deviation are trainable.
#pragma once
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/models/condition.hpp>

namespace reward_tuner::reference {

struct GaussianOptions {
  double mean = 0.0;                  ///< initial mean of every channel
  double deviation = 0.5;             ///< initial deviation
  NoiseScheduleConfig schedule = {};  ///< prediction is read from here
};

/// eps(x, t) = sigma*(x - alpha*mean)/(alpha^2*deviation^2 + sigma^2), the posterior mean of the noise; images are
/// 0.5 + x/4.
class GaussianPipeline {
  struct Scope {
    explicit Scope(GaussianPipeline& p, bool value) : p_(p), before_(p.use_reference_) { p_.use_reference_ = value; }
    Scope(const Scope&) = delete;
    ~Scope() { p_.use_reference_ = before_; }
    GaussianPipeline& p_;
    bool before_;
  };

 public:
  explicit GaussianPipeline(GaussianOptions options = {}) : options_(options), schedule_(options.schedule) {
    mean_ = (at::zeros({3, 1, 1}, at::kDouble) + options_.mean).requires_grad_();
    log_deviation_ = (at::zeros({}, at::kDouble) + std::log(options_.deviation)).requires_grad_();
  }

  Condition encode(const std::vector<std::string>& prompts) {
    const Tensor nothing = at::zeros({static_cast<std::int64_t>(prompts.size()), 1, 1}, at::kDouble);
    return {{nothing}, {nothing}, prompts};
  }
  Tensor predict(const Tensor& x, const Tensor& timesteps, const Conditioning&) {
    const Tensor levels = levels_of(timesteps), alpha = levels[0], sigma = levels[1];    // [N,1,1,1]
    const Tensor mean = use_reference_ ? at::zeros_like(mean_) + options_.mean : mean_;  // [3,1,1]
    const Tensor variance = use_reference_ ? at::zeros_like(log_deviation_) + options_.deviation * options_.deviation
                                           : (2.0 * log_deviation_).exp();
    const Tensor off = (x - alpha * mean) / (alpha * alpha * variance + sigma * sigma);  // [N,3,h,w]
    const Tensor eps = sigma * off;                                                      // [N,3,h,w]
    switch (schedule_.config().prediction) {
      case PredictionType::kEpsilon:
        return eps;
      case PredictionType::kVPrediction:
        return alpha * eps - sigma * (x - sigma * eps) / alpha;
      case PredictionType::kSample:
        return (x - sigma * eps) / alpha;
      case PredictionType::kFlow:
        return eps - (mean + alpha * variance * off);  // noise alone tells the mean of the data
    }
    return eps;
  }
  Tensor decode(const Tensor& latents) { return 0.5 + 0.25 * latents; }
  Tensor encode_images(const Tensor& images) { return 4 * (images - 0.5); }
  std::vector<std::int64_t> latent_shape(std::int64_t n) const { return {n, 3, 4, 4}; }
  at::TensorOptions latent_options() const { return at::TensorOptions().dtype(at::kDouble); }
  const NoiseSchedule& noise_schedule() const { return schedule_; }
  Scope rollout_scope() { return Scope(*this, use_reference_); }
  Scope reference_scope() { return Scope(*this, true); }

  std::vector<Tensor> parameters() const { return {mean_, log_deviation_}; }

 private:
  /// Signal and noise at timesteps [N], of a flow also between the training's, [2,N,1,1,1].
  Tensor levels_of(const Tensor& timesteps) const {
    if (schedule_.flow()) {
      const Tensor q = timesteps.to(at::kDouble) / static_cast<double>(schedule_.config().num_train_steps);
      return at::stack({1 - q, q}).view({2, -1, 1, 1, 1});
    }
    std::vector<double> levels;
    for (std::int64_t i = 0; i < timesteps.size(0); ++i)
      levels.push_back(schedule_.abar(timesteps[i].item<std::int64_t>()));
    const Tensor abar = at::tensor(levels, at::kDouble);  // [N]
    return at::stack({abar.sqrt(), (1 - abar).sqrt()}).view({2, -1, 1, 1, 1});
  }

  GaussianOptions options_;
  NoiseSchedule schedule_;
  Tensor mean_, log_deviation_;
  bool use_reference_ = false;
};
static_assert(DiffusionPipeline<GaussianPipeline>);

}  // namespace reward_tuner::reference
