// A denoiser that is no Stable Diffusion: two linear layers on images of 8 x 8 pixels, which are their own latents.
#pragma once
#include <reward_tuner/reward_tuner.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace rt = reward_tuner;

/// epsilon = W2 tanh(W1 [x, t, prompt]) with C*h*w = 3*8*8 numbers of x. `predict` is the untuned network while a
/// reference scope lives.
class ToyDenoiser {
 public:
  ToyDenoiser() {
    rt::Rng rng(1);
    const auto weight = [&](std::int64_t out, std::int64_t in) {
      return rng.normal({out, in}, latent_options()) / std::sqrt(static_cast<double>(in));
    };
    reference_ = {weight(kHidden, kPixels + 1 + kText), weight(kPixels, kHidden)};
    for (const rt::Tensor& w : reference_) parameters_.push_back(w.clone().requires_grad_());
  }
  std::vector<rt::Tensor>& parameters() { return parameters_; }

  rt::Condition encode(const std::vector<std::string>& prompts) {
    std::vector<rt::Tensor> positive;
    for (const std::string& prompt : prompts)
      positive.push_back(rt::Rng(prompt.size()).normal({1, kText}, latent_options()));  // a code for its length
    const rt::Tensor given = torch::stack(positive);                                    // [B,1,4]
    return {.positive = {given}, .negative = {torch::zeros_like(given)}, .prompts = prompts};
  }
  rt::Tensor predict(const rt::Tensor& latents, const rt::Tensor& timesteps, const rt::Conditioning& conditioning) {
    const auto& w = in_reference_ ? reference_ : parameters_;
    const rt::Tensor t = timesteps.to(latents.dtype()).unsqueeze(1) / 1000;                           // [N,1]
    const rt::Tensor x = torch::cat({latents.flatten(1), t, conditioning.embeddings.squeeze(1)}, 1);  // [N,197]
    return torch::matmul(torch::matmul(x, w[0].t()).tanh(), w[1].t()).view(latents.sizes());          // [N,3,8,8]
  }
  rt::Tensor decode(const rt::Tensor& latents) { return torch::sigmoid(latents); }  // [N,3,8,8]

  std::vector<std::int64_t> latent_shape(std::int64_t n) const { return {n, 3, kSide, kSide}; }
  at::TensorOptions latent_options() const { return at::TensorOptions().dtype(at::kFloat); }
  const rt::NoiseSchedule& noise_schedule() const { return schedule_; }

  /// Sets a flag until it is destroyed.
  class Scope {
   public:
    explicit Scope(bool& flag) : flag_(flag) { flag_ = true; }
    Scope(const Scope&) = delete;
    ~Scope() { flag_ = false; }

   private:
    bool& flag_;
  };
  Scope rollout_scope() { return Scope(in_rollout_); }  // nothing else to switch
  Scope reference_scope() { return Scope(in_reference_); }

 private:
  static constexpr std::int64_t kSide = 8, kPixels = 3 * kSide * kSide, kText = 4, kHidden = 64;
  rt::NoiseSchedule schedule_{rt::NoiseScheduleConfig{}};
  std::vector<rt::Tensor> reference_, parameters_;
  bool in_reference_ = false, in_rollout_ = false;
};
static_assert(rt::DiffusionPipeline<ToyDenoiser>);
