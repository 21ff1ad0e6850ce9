// A pipeline called as the engine's options specify: the same model with adapters merged or apart, in another
// precision, checkpointed.
#pragma once
#include <torch/types.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/note.hpp>
#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/layers/scaled_gradient.hpp>
#include <reward_tuner/models/pipeline_flops.hpp>
#include <reward_tuner/models/rollout_mode.hpp>
#include <reward_tuner/optim/gradient_scale.hpp>
#include <reward_tuner/tensor/autocast.hpp>
#include <reward_tuner/tensor/stage_clock.hpp>

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

/// What the calls of a pipeline cost; nothing of one without `PipelineFlops flops()`.
template <DiffusionPipeline Pipeline>
PipelineFlops pipeline_flops([[maybe_unused]] Pipeline& pipeline) {
  if constexpr (requires { pipeline.flops(); }) {
    static_assert(std::same_as<decltype(pipeline.flops()), PipelineFlops>,
                  "[DiffusionPipeline] optional member with another signature, expected: PipelineFlops flops()");
    return pipeline.flops();
  } else {
    return {};
  }
}

/// Wraps a pipeline for one update, and counts what its calls cost. Gradients are `scale` times as large inside the
/// pipeline: in the network, decoder and text encoder, and so in the gradients of their weights, which the optimizer
/// step divides by it again. Everything outside has its own size.
/// Errors: options that the pipeline does not support.
template <DiffusionPipeline Pipeline>
class ConfiguredPipeline {
 public:
  ConfiguredPipeline(Pipeline& pipeline, const EngineOptions& options, const GradientScale& scale = kUnscaled)
      : pipeline_(pipeline),
        scale_(scale),
        mode_{options.merge_adapters, options.rollout_dtype, captures(options)},
        autocast_(options.autocast),
        device_(pipeline.latent_options().device().type()),
        checkpointing_(pipeline, options.activation_checkpointing),
        cost_(pipeline_flops(pipeline)) {
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
    const TraceSpan span("text encoder", static_cast<std::int64_t>(prompts.size()));
    Condition c = pipeline_.encode(prompts);
    if (cost_.encode) count(c.positive.embeddings, cost_.encode(static_cast<std::int64_t>(prompts.size())));
    for (Conditioning* part : {&c.positive, &c.negative, &c.empty}) *part = states_through(*part, scale_.factor());
    return c;
  }
  bool trains_condition() { return reward_tuner::trains_condition(pipeline_); }
  Tensor predict(const Tensor& latents, const Tensor& timesteps, const Conditioning& conditioning) {
    const TraceSpan span("network", latents.size(0));
    // one scope per call: its cache must not outlive a change between calls with and without gradient
    const AutocastScope scope(device_, autocast_);
    const double factor = scale_.factor();
    const Tensor raw =
        pipeline_.predict(scaled_gradient(latents, 1 / factor), timesteps, states_through(conditioning, 1 / factor));
    if (cost_.predict) count(raw, cost_.predict(latents, conditioning));
    return scaled_gradient(raw.to(latents.scalar_type()), factor);
  }
  Tensor decode(const Tensor& latents) {
    const StageScope stage(Stage::kDecode);
    const AutocastScope scope(device_, autocast_);
    const double factor = scale_.factor();
    const Tensor images = pipeline_.decode(scaled_gradient(latents, 1 / factor));
    if (cost_.decode) count(images, cost_.decode(latents));
    return scaled_gradient(images.to(latents.scalar_type()), factor);
  }
  Tensor encode_images(const Tensor& images) requires requires(Pipeline& p) { p.encode_images(images); } {
    const AutocastScope scope(device_, autocast_);
    const Tensor latents = pipeline_.encode_images(images);
    if (cost_.encode_images) count(latents, cost_.encode_images(images));
    return latents.to(images.scalar_type());
  }
  std::vector<std::int64_t> latent_shape(std::int64_t batch) const { return pipeline_.latent_shape(batch); }
  at::TensorOptions latent_options() const { return pipeline_.latent_options(); }
  const NoiseSchedule& noise_schedule() const { return pipeline_.noise_schedule(); }
  auto rollout_scope() {
    if constexpr (RolloutModes<Pipeline>) return pipeline_.rollout_scope(mode_);
    else return pipeline_.rollout_scope();
  }
  auto reference_scope() { return pipeline_.reference_scope(); }

  /// Of the calls so far, and of the backward passes that went through them.
  const FlopCount& flops() const { return *flops_; }

 private:
  static constexpr GradientScale kUnscaled = {};

  static bool captures(const EngineOptions& options) {
    if (!options.capture_rollout) return false;
    const bool knows = RolloutModes<Pipeline>, budget = options.memory.way() == Memory::kBudget;
    if (!knows)
      note(
          "[RewardTuner] engine.capture_rollout has no effect: expected a pipeline with rollout_scope(RolloutMode), "
          "and this one has none");
    else if (budget)
      note(
          "[RewardTuner] engine.capture_rollout has no effect with Memory::budget, which does not know the memory of "
          "recordings: expected Memory::kReplay or kRetain");
    return knows && !budget;
  }

  static Conditioning states_through(Conditioning c, double factor) {
    c.embeddings = scaled_gradient(c.embeddings, factor);
    c.pooled = scaled_gradient(c.pooled, factor);
    return c;
  }

  /// Adds a call that gave `out`, and its backward pass when a gradient comes there.
  void count(const Tensor& out, const CallFlops& call) {
    (StageScope::now() == Stage::kBackward ? flops_->replayed : flops_->forward) += call.forward;
    if (out.requires_grad() && call.backward > 0)
      out.register_hook([flops = flops_, passed = call.backward](const Tensor&) { flops->backward += passed; });
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
  PipelineFlops cost_;
  std::shared_ptr<FlopCount> flops_ = std::make_shared<FlopCount>();  // hooks of a graph may outlive this
};

}  // namespace reward_tuner
