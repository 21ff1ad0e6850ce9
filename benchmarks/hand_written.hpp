// The update loop that somebody would write who has LibTorch and the model's modules but not our engine: what the tuner
// is measured against. Nothing of engine/ or tuner/ is used: own rollout, own DDIM factors, plain autograd, own
// clipping, LibTorch's AdamW kernel. The same work is done: adapters merged where no gradient is wanted, one noise
// stream a sample, one doubled guidance batch.
#pragma once
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/layers/adaptable_layer.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/rewards/symmetry.hpp>
#include <reward_tuner/tensor/rng.hpp>

namespace bench {

namespace rt = reward_tuner;
using rt::Tensor;

struct HandWrittenSettings {
  int steps = 50, trained = 5;
  double guidance = 7.5, learning_rate = 2e-5, weight_decay = 1e-4, clip = 0.1;
  // DRaFT: the last K steps, gradients through their inputs; else DRTune: K equally spaced steps, inputs without
  // gradient
  bool last_steps = false;
  bool checkpoint = false;  // evaluate the trained steps again instead of keeping their graphs
};

/// DDIM with eta 1 for a network that predicts epsilon: x' = a*x + b*h + c*z.
struct DdimFactors {
  std::int64_t timestep;
  double a, b, c;
};

// scaled linear betas 0.00085 .. 0.012 over 1000 steps, leading, offset 1
inline std::vector<DdimFactors> ddim_factors(int steps) {
  std::vector<double> abar(1000);
  double product = 1;
  for (int i = 0; i < 1000; ++i) {
    const double root = std::sqrt(0.00085) + (std::sqrt(0.012) - std::sqrt(0.00085)) * i / 999.0;
    abar[static_cast<std::size_t>(i)] = product *= 1 - root * root;
  }
  std::vector<DdimFactors> out;
  for (int k = 0; k < steps; ++k) {
    const int t = (steps - 1 - k) * (1000 / steps) + 1, before = t - 1000 / steps;
    const double now = abar[static_cast<std::size_t>(t)],
                 next = before >= 0 ? abar[static_cast<std::size_t>(before)] : abar[0];
    const double variance = (1 - next) / (1 - now) * (1 - now / next);
    const double direction = std::sqrt(std::max(0.0, 1 - next - variance));
    out.push_back({t, std::sqrt(next / now), direction - std::sqrt(next) * std::sqrt(1 - now) / std::sqrt(now),
                   std::sqrt(variance)});
  }
  return out;
}

class HandWritten {
 public:
  HandWritten(rt::StableDiffusion& model, std::vector<Tensor> parameters, HandWrittenSettings settings)
      : model_(model), parameters_(std::move(parameters)), s_(settings), factors_(ddim_factors(settings.steps)) {
    forget();
  }

  /// AdamW starts anew.
  void forget() {
    first_.clear(), second_.clear(), counts_.clear();
    for (const Tensor& p : parameters_) {
      first_.push_back(at::zeros_like(p, at::TensorOptions().requires_grad(false)));
      second_.push_back(at::zeros_like(p, at::TensorOptions().requires_grad(false)));
      counts_.push_back(at::zeros({}));
    }
  }

  /// One update; the loss.
  double update(const std::vector<std::string>& prompts, rt::Rng& rng) {
    const auto batch = static_cast<std::int64_t>(prompts.size());
    const int T = s_.steps, K = s_.trained;
    std::vector<bool> on(static_cast<std::size_t>(T));
    if (s_.last_steps) {
      for (int k = T - K; k < T; ++k) on[static_cast<std::size_t>(k)] = true;
    } else {
      const int stride = T / K;
      const int start = 1 + static_cast<int>(rng.integer(0, T - 1 - (K - 1) * stride));
      for (int i = 0; i < K; ++i) on[static_cast<std::size_t>(T - (start + i * stride))] = true;
    }
    std::vector<std::uint64_t> seeds(static_cast<std::size_t>(batch));
    for (auto& seed : seeds) seed = rng.bits();
    std::vector<rt::Rng> streams;
    for (const auto seed : seeds) streams.emplace_back(seed);
    const Tensor embeddings = encode(prompts);  // [2B,L,D]
    for (Tensor& p : parameters_) p.mutable_grad().reset();
    const double loss =
        s_.checkpoint ? replayed(batch, on, streams, embeddings) : retained(batch, on, streams, embeddings);
    clip_and_step();
    return loss;
  }

 private:
  Tensor encode(const std::vector<std::string>& prompts) {
    const torch::NoGradGuard no_grad;
    const auto batch = static_cast<std::int64_t>(prompts.size());
    std::vector<std::string> texts = prompts;
    texts.emplace_back();
    // [B+1,L,D]
    const Tensor states =
        model_.text_encoder()
            .forward(model_.tokenizer()(texts, model_.text_encoder().config().max_position_embeddings))
            .last_hidden_state;
    return at::cat({states.narrow(0, batch, 1).expand({batch, -1, -1}), states.narrow(0, 0, batch)});
  }

  Tensor noise(std::int64_t batch, std::vector<rt::Rng>& streams) {
    const std::vector<std::int64_t> shape = model_.latent_shape(1);
    std::vector<Tensor> rows;
    for (std::int64_t i = 0; i < batch; ++i)
      rows.push_back(streams[static_cast<std::size_t>(i)].normal({shape[1], shape[2], shape[3]}));
    return at::stack(rows);
  }

  /// The guided output.  x [B,C,h,w] -> [B,C,h,w]
  Tensor guided(const Tensor& x, std::int64_t timestep, const Tensor& embeddings) {
    // [2B,C,h,w]
    const Tensor both =
        model_.unet().forward(at::cat({x, x}), at::full({2 * x.size(0)}, timestep, at::kLong), embeddings);
    const auto halves = both.chunk(2);
    return halves[0] + s_.guidance * (halves[1] - halves[0]);
  }

  Tensor mean_loss(const Tensor& x) {
    const auto& c = model_.vae().config();
    return rt::literal_symmetry_error(model_.vae().decode(x / c.scaling_factor + c.shift_factor) * 0.5 + 0.5).mean();
  }

  /// One graph from the noise to the loss, as autograd makes it.
  double retained(std::int64_t batch, const std::vector<bool>& on, std::vector<rt::Rng>& streams,
                  const Tensor& embeddings) {
    std::optional<rt::AdapterScope> merged(std::in_place, model_.unet(), rt::AdapterMode::kMerged);
    Tensor x = noise(batch, streams);  // [B,C,h,w]
    for (int k = 0; k < s_.steps; ++k) {
      const DdimFactors& f = factors_[static_cast<std::size_t>(k)];
      Tensor h;  // [B,C,h,w]
      if (on[static_cast<std::size_t>(k)]) {
        h = guided(s_.last_steps ? x : x.detach(), f.timestep, embeddings);
      } else {
        const torch::NoGradGuard no_grad;
        h = guided(x, f.timestep, embeddings);
      }
      x = f.a * x + f.b * h;
      if (f.c > 0) x = x + f.c * noise(batch, streams);
    }
    const Tensor loss = mean_loss(x);
    loss.backward();
    return loss.item<double>();
  }

  /// The trained steps' inputs are kept and their graphs made one at a time in the backward pass.
  double replayed(std::int64_t batch, const std::vector<bool>& on, std::vector<rt::Rng>& streams,
                  const Tensor& embeddings) {
    std::vector<Tensor> inputs(static_cast<std::size_t>(s_.steps));
    Tensor x;  // [B,C,h,w]
    int first = s_.steps;
    {
      const torch::NoGradGuard no_grad;
      const rt::AdapterScope merged(model_.unet(), rt::AdapterMode::kMerged);
      x = noise(batch, streams);
      for (int k = 0; k < s_.steps; ++k) {
        const DdimFactors& f = factors_[static_cast<std::size_t>(k)];
        if (on[static_cast<std::size_t>(k)]) {
          inputs[static_cast<std::size_t>(k)] = x;
          first = std::min(first, k);
        }
        x = f.a * x + f.b * guided(x, f.timestep, embeddings);
        if (f.c > 0) x = x + f.c * noise(batch, streams);
      }
    }
    double value = 0;
    Tensor adjoint;  // dL/dx [B,C,h,w]
    {
      const Tensor leaf = x.detach().requires_grad_();
      const Tensor loss = mean_loss(leaf);
      value = loss.item<double>();
      adjoint = torch::autograd::grad({loss}, {leaf})[0];
    }
    for (int k = s_.steps - 1; k >= first; --k) {
      const DdimFactors& f = factors_[static_cast<std::size_t>(k)];
      const Tensor before = adjoint;
      adjoint = f.a * before;
      if (!on[static_cast<std::size_t>(k)]) continue;
      const bool through = s_.last_steps && k > first;
      const Tensor leaf = inputs[static_cast<std::size_t>(k)].detach().requires_grad_(through);
      torch::autograd::backward({guided(leaf, f.timestep, embeddings)}, {f.b * before});
      if (through) adjoint = adjoint + leaf.grad();
    }
    return value;
  }

  void clip_and_step() {
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> gradients;
    for (const Tensor& p : parameters_) gradients.push_back(p.grad());
    const double norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients))).item<double>();
    if (norm > s_.clip) at::_foreach_mul_(gradients, s_.clip / norm);
    for (Tensor& count : counts_) count += 1;
    at::_fused_adamw_(parameters_, gradients, first_, second_, {}, counts_, s_.learning_rate, 0.9, 0.999,
                      s_.weight_decay, 1e-8, /*amsgrad=*/false, /*maximize=*/false);
  }

  rt::StableDiffusion& model_;
  std::vector<Tensor> parameters_;
  HandWrittenSettings s_;
  std::vector<DdimFactors> factors_;
  std::vector<Tensor> first_, second_, counts_;
};

}  // namespace bench
