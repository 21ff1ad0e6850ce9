// A pipeline called as the engine's options specify: the same model with adapters merged or apart, in another
// precision, checkpointed.
#pragma once
#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/tensor/autocast.hpp>

namespace reward_tuner {

/// A pipeline with options for calls without gradient: `rollout_scope(RolloutMode)`.
template <class P>
concept RolloutModes = requires(P p, const RolloutMode& mode) { p.rollout_scope(mode); };

/// A pipeline whose network can checkpoint its activations: `activation_checkpoint_scope()`.
template <class P>
concept ActivationCheckpointing = requires(P p) { p.activation_checkpoint_scope(); };

/// Wraps a pipeline for one update. Errors: options that the pipeline does not support.
template <DiffusionPipeline Pipeline>
class ConfiguredPipeline {
 public:
  ConfiguredPipeline(Pipeline& pipeline, const EngineOptions& options)
      : pipeline_(pipeline),
        mode_{options.merge_adapters, options.rollout_dtype},
        autocast_(options.autocast),
        device_(pipeline.latent_options().device().type()),
        checkpointing_(pipeline, options.activation_checkpointing) {
    if constexpr (!RolloutModes<Pipeline>)
      REWARD_TUNER_CHECK(mode_.merge_adapters && !mode_.dtype,
                         "[RewardTuner] engine.rollout_dtype and engine.merge_adapters need a pipeline with "
                         "rollout_scope(RolloutMode), and this one has none");
    REWARD_TUNER_CHECK(!autocast_ || pipeline.latent_options().dtype() != at::kDouble,
                       "[RewardTuner] engine.autocast casts float32 only; this pipeline is one of double");
  }
  ConfiguredPipeline(const ConfiguredPipeline&) = delete;
  ConfiguredPipeline& operator=(const ConfiguredPipeline&) = delete;

  Condition encode(const std::vector<std::string>& prompts) { return pipeline_.encode(prompts); }
  bool trains_condition() { return reward_tuner::trains_condition(pipeline_); }
  Tensor predict(const Tensor& latents, const Tensor& timesteps, const Conditioning& conditioning) {
    if (!autocast_) return pipeline_.predict(latents, timesteps, conditioning);
    // one scope per call: its cache must not outlive a change between calls with and without gradient
    const AutocastScope scope(device_, autocast_);
    return pipeline_.predict(latents, timesteps, conditioning).to(latents.scalar_type());
  }
  Tensor decode(const Tensor& latents) {
    if (!autocast_) return pipeline_.decode(latents);
    const AutocastScope scope(device_, autocast_);
    return pipeline_.decode(latents).to(latents.scalar_type());
  }
  Tensor encode_images(const Tensor& images) requires requires(Pipeline& p) { p.encode_images(images); } {
    if (!autocast_) return pipeline_.encode_images(images);
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
  RolloutMode mode_;
  std::optional<at::ScalarType> autocast_;
  at::DeviceType device_;
  Checkpointing checkpointing_;
};

}  // namespace reward_tuner
