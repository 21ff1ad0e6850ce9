// What the engine asks of a model, and the guided network call made of it.
#pragma once
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <torch/types.h>

#include <concepts>
#include <string>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/condition.hpp>

namespace reward_tuner {

/// A latent diffusion model with everything around it. StableDiffusion is one; a test's two-line network is another.
///  1. `encode(prompts)`: the condition of a batch, without gradient.
///  2. `predict(latents [N,C,h,w], timesteps int64 [N], conditioning)`: the network, [N,C,h,w], differentiable in
///     latents and trainable weights.
///  3. `decode(latents)`: images [N,3,H,W], nominally [0,1], differentiable.
///  4. `latent_shape(N)`, `latent_options()`: shape, dtype and device of latents.
///  5. `noise_schedule()`: the levels the network was trained with.
///  6. `rollout_scope()`: a scope for no-grad calls, in which adapters may be merged; `reference_scope()`: one in which
///     `predict` is the untuned network.
template <class P>
concept DiffusionPipeline =
    requires(P p, const std::vector<std::string>& prompts, const Tensor& x, const Conditioning& c, std::int64_t n) {
      { p.encode(prompts) } -> std::same_as<Condition>;
      { p.predict(x, x, c) } -> std::same_as<Tensor>;
      { p.decode(x) } -> std::same_as<Tensor>;
      { p.latent_shape(n) } -> std::convertible_to<std::vector<std::int64_t>>;
      { p.latent_options() } -> std::convertible_to<at::TensorOptions>;
      { p.noise_schedule() } -> std::convertible_to<const NoiseSchedule&>;
      p.rollout_scope();
      p.reference_scope();
    };

/// Network calls made; a doubled guidance batch is one call.
struct NetworkCounts {
  std::int64_t forwards = 0, backwards = 0;  ///< a batch at one step each
  /// a sample at one step each: what a method costs on paper, however it is batched
  std::int64_t forward_samples = 0, backward_samples = 0;
};

/// One evaluation of the network for guidance scale w: `raw` is what the network returned, `guided` = u + w*(c - u).
struct GuidedOutput {
  Tensor raw;     // [2B,C,h,w] as [uncond; cond], or [B,C,h,w] if w is 1
  Tensor guided;  // [B,C,h,w]
};

/// A batch at one sampler step, as the network is to see it.
struct StepInput {
  Tensor latents;  // [B,C,h,w]
  std::int64_t timestep = 0;
  double guidance = 1;

  bool single() const { return guidance == 1.0; }  ///< the condition alone is evaluated
};

/// Evaluates several steps of one batch in one network call; counts one forward a step. Rows step by step: [uncond;
/// cond], or the condition alone where the
/// guidance is exactly 1 (Ho & Salimans 2022, Eq. 6).  -> [sum of B or 2B,C,h,w]
template <DiffusionPipeline Pipeline>
Tensor stacked_call(Pipeline& pipeline, const std::vector<StepInput>& steps, const Condition& condition,
                    NetworkCounts& counts) {
  std::vector<Tensor> latents, times;
  std::vector<Conditioning> conditioning;
  for (const StepInput& step : steps) {
    ++counts.forwards;
    counts.forward_samples += step.latents.size(0);
    for (int half = step.single() ? 1 : 0; half < 2; ++half) {
      latents.push_back(step.latents);
      conditioning.push_back(half == 0 ? condition.negative : condition.positive);
    }
    const std::int64_t rows = step.latents.size(0) * (step.single() ? 1 : 2);
    times.push_back(
        at::full({rows}, step.timestep, at::TensorOptions().dtype(at::kLong).device(step.latents.device())));
  }
  const bool one = latents.size() == 1;
  return pipeline.predict(one ? latents[0] : at::cat(latents), times.size() == 1 ? times[0] : at::cat(times),
                          one ? conditioning[0] : concatenate(conditioning));
}

/// Evaluates the network once for one step.
template <DiffusionPipeline Pipeline>
GuidedOutput guided_call(Pipeline& pipeline, const Tensor& latents, std::int64_t timestep, const Condition& condition,
                         double guidance, NetworkCounts& counts) {
  const StepInput step{latents, timestep, guidance};
  const Tensor raw = stacked_call(pipeline, {step}, condition, counts);  // [B|2B,C,h,w]
  if (step.single()) return {raw, raw};
  const auto halves = raw.chunk(2);
  return {raw, halves[0] + guidance * (halves[1] - halves[0])};
}

/// dL/draw from dL/dguided = Q: [(1-w)*Q; w*Q], or Q for a single batch.
inline Tensor split_cotangent(const Tensor& cotangent, double guidance) {
  return guidance == 1.0 ? cotangent : at::cat({(1.0 - guidance) * cotangent, guidance * cotangent});
}

}  // namespace reward_tuner
