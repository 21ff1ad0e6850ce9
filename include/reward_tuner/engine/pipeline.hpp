// What the engine asks of a model, and the count of its calls.
#pragma once
#include <torch/types.h>

#include <concepts>
#include <string>
#include <vector>

#include <reward_tuner/core/noise_schedule.hpp>
#include <reward_tuner/models/condition.hpp>

namespace reward_tuner {

/// A latent diffusion model with everything around it. StableDiffusion is one; a test's two-line network is another.
///  1. `encode(prompts)`: the condition of a batch, without gradient.
///  2. `predict(latents [N,C,h,w], timesteps [N], conditioning)`: the network, [N,C,h,w], differentiable in
///     latents and trainable weights. Timesteps are int64, or double where a sampler's lie between training steps.
///  3. `decode(latents)`: images [N,3,H,W], nominally [0,1], differentiable.
///  4. `latent_shape(N)`, `latent_options()`: shape, dtype and device of latents.
///  5. `noise_schedule()`: the levels the network was trained with.
///  6. `rollout_scope()`: a scope for no-grad calls, in which adapters may be merged; `reference_scope()`: one in which
///     `predict` is the untuned network, and `encode` the untuned text encoder.
/// A pipeline whose text encoder can be trained has `trains_condition()`, see ConditionTraining. One whose network
/// computes in another type than its latents have says so by `network_dtype()`, and what its calls cost by `flops()`,
/// see ConfiguredPipeline.
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

/// A pipeline that trains what encodes its prompts: `bool trains_condition()` says whether `encode` depends on anything
/// trainable now. Where gradients are enabled its states then carry their graph; a prompt's states depend on that
/// prompt alone. Every method sends its gradient there, in addition to the network's weights.
template <class P>
concept ConditionTraining = requires(P p) {
  { p.trains_condition() } -> std::same_as<bool>;
};

/// Whether the text encoder is trained; false for a pipeline that cannot.
template <DiffusionPipeline P>
bool trains_condition([[maybe_unused]] P& pipeline) {
  if constexpr (requires { pipeline.trains_condition(); }) {
    static_assert(ConditionTraining<P>,
                  "[DiffusionPipeline] optional member with another signature, expected: bool trains_condition()");
    if constexpr (ConditionTraining<P>) return pipeline.trains_condition();
  }
  return false;
}

/// What of the pipeline's own options would take less memory, a switch each: the optional member
/// `std::vector<std::string> memory_switches() const`; none of a pipeline without it.
template <DiffusionPipeline P>
std::vector<std::string> memory_switches([[maybe_unused]] P& pipeline) {
  if constexpr (requires { pipeline.memory_switches(); }) return pipeline.memory_switches();
  else return {};
}

/// Network calls made; a doubled guidance batch is one call.
struct NetworkCounts {
  std::int64_t forwards = 0, backwards = 0;  ///< a batch at one step each
  /// a sample at one step each: what a method costs on paper, however it is batched
  std::int64_t forward_samples = 0, backward_samples = 0;
  std::int64_t retained = 0;  ///< backwards whose graph the rollout had kept

  void add(const NetworkCounts& more) {
    forwards += more.forwards;
    backwards += more.backwards;
    forward_samples += more.forward_samples;
    backward_samples += more.backward_samples;
    retained += more.retained;
  }
};

}  // namespace reward_tuner
