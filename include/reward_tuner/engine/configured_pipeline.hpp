// A pipeline called as the engine's options specify: the same model with adapters merged or apart, in another
// precision, checkpointed.
#pragma once
#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/layers/scaled_gradient.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/optim/gradient_scale.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace reward_tuner {

/// A pipeline with options for calls without gradient: `rollout_scope(RolloutMode)`.
template <class P>
concept RolloutModes = requires(P p, const RolloutMode& mode) { p.rollout_scope(mode); };

/// A pipeline whose network can checkpoint its activations: `activation_checkpoint_scope()`.
template <class P>
concept ActivationCheckpointing = requires(P p) { p.activation_checkpoint_scope(); };

/// The type that the pipeline's network computes in: `at::ScalarType network_dtype()`, or its latents' where it does
/// not say.
template <DiffusionPipeline Pipeline>
at::ScalarType network_dtype(Pipeline& pipeline) {
  if constexpr (requires { pipeline.network_dtype(); }) return pipeline.network_dtype();
  else return at::TensorOptions(pipeline.latent_options()).dtype().toScalarType();
}

/// Wraps a pipeline for one update. Gradients are `scale` times as large inside the pipeline: in the network, decoder
/// and text encoder, and so in the gradients of their weights, which the optimizer step divides by it again. Everything
/// outside has its own size.
/// Errors: options that the pipeline does not support.
template <DiffusionPipeline Pipeline>
class ConfiguredPipeline {
 public:
  ConfiguredPipeline(Pipeline& pipeline, const EngineOptions& options, const GradientScale& scale = kUnscaled)
      : pipeline_(pipeline),
        scale_(scale),
        mode_{options.merge_adapters, options.rollout_dtype},
        autocast_(options.autocast),
        device_(pipeline.latent_options().device().type()),
        checkpointing_(pipeline, options.activation_checkpointing) {
    if constexpr (!RolloutModes<Pipeline>)
      REWARD_TUNER_CHECK(mode_.merge_adapters && !mode_.dtype,
                         "[RewardTuner] engine.rollout_dtype and engine.merge_adapters need a pipeline with "
                         "rollout_scope(RolloutMode), and this one has none");
    const at::ScalarType own = network_dtype(pipeline);
    REWARD_TUNER_CHECK(!autocast_ || own == at::kFloat,
                       "[RewardTuner] engine.autocast casts float32 only; this "
                       "pipeline is one of ",
                       own == at::kDouble ? "double" : c10::toString(own));
    REWARD_TUNER_CHECK(!mode_.dtype || *mode_.dtype != own,
                       "[RewardTuner] engine.rollout_dtype expected another type than the network has, or none, got ",
                       own);
  }
  ConfiguredPipeline(const ConfiguredPipeline&) = delete;
  ConfiguredPipeline& operator=(const ConfiguredPipeline&) = delete;

  Condition encode(const std::vector<std::string>& prompts) {
    Condition c = pipeline_.encode(prompts);
    for (Conditioning* part : {&c.positive, &c.negative, &c.empty}) *part = states_through(*part, scale_.factor());
    return c;
  }
  bool trains_condition() { return reward_tuner::trains_condition(pipeline_); }
  Tensor predict(const Tensor& latents, const Tensor& timesteps, const Conditioning& conditioning) {
    // one scope per call: its cache must not outlive a change between calls with and without gradient
    const AutocastScope scope(device_, autocast_);
    const double factor = scale_.factor();
    const Tensor raw =
        pipeline_.predict(scaled_gradient(latents, 1 / factor), timesteps, states_through(conditioning, 1 / factor));
    return scaled_gradient(raw.to(latents.scalar_type()), factor);
  }
  Tensor decode(const Tensor& latents) {
    const AutocastScope scope(device_, autocast_);
    const double factor = scale_.factor();
    const Tensor images = pipeline_.decode(scaled_gradient(latents, 1 / factor));
    return scaled_gradient(images.to(latents.scalar_type()), factor);
  }
  Tensor encode_images(const Tensor& images) requires requires(Pipeline& p) { p.encode_images(images); } {
    const AutocastScope scope(device_, autocast_);
    return pipeline_.encode_images(images).to(images.scalar_type());
  }
  std::vector<std::int64_t> latent_shape(std::int64_t batch) const { return pipeline_.latent_shape(batch); }
  at::TensorOptions latent_options() const { return pipeline_.latent_options(); }
  const NoiseSchedule& noise_schedule() const { return pipeline_.noise_schedule(); }
  auto rollout_scope() {
    if constexpr (RolloutModes<Pipeline>) return pipeline_.rollout_scope(mode_);
    else return pipeline_.rollout_scope();
  }
  auto reference_scope() { return pipeline_.reference_scope(); }

 private:
  static constexpr GradientScale kUnscaled = {};

  static Conditioning states_through(Conditioning c, double factor) {
    c.embeddings = scaled_gradient(c.embeddings, factor);
    c.pooled = scaled_gradient(c.pooled, factor);
    return c;
  }

  /// Holds the pipeline's checkpointing scope if it is asked for.
  struct Checkpointing {
    Checkpointing(Pipeline& pipeline, bool on) {
      if (!on) return;
      if constexpr (ActivationCheckpointing<Pipeline>)
        scope.emplace([&] { return pipeline.activation_checkpoint_scope(); });
      else
        detail::fail(
            "[RewardTuner] engine.activation_checkpointing needs a pipeline with activation_checkpoint_scope(), and "
            "this one has none");
    }
    template <class P>
    struct Held {
      using Scope = int;
    };
    template <ActivationCheckpointing P>
    struct Held<P> {
      using Scope = decltype(std::declval<P&>().activation_checkpoint_scope());
    };
    struct Holder {  // builds a scope that can be neither copied nor moved in its place
      template <class F>
      explicit Holder(F make) : held(make()) {}
      typename Held<Pipeline>::Scope held;
    };
    std::optional<Holder> scope;
  };

  Pipeline& pipeline_;
  const GradientScale& scale_;
  RolloutMode mode_;
  std::optional<at::ScalarType> autocast_;
  at::DeviceType device_;
  Checkpointing checkpointing_;
};

}  // namespace reward_tuner
