// Definitions of network_flops.hpp.
#pragma once
#include <reward_tuner/models/network_flops.hpp>

#include <memory>
#include <optional>
#include <vector>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/models/sketch_networks.hpp>
#include <reward_tuner/tensor/sketch.hpp>

namespace reward_tuner {

namespace detail {

/// What the call `run(layers, input)` does on a sketch. `input(sizes, reached)` makes its tensors.
template <class Run>
CallFlops sketched_flops(const CallForm& form, Run run) {
  Sketch sketch;
  SketchLayers layers(sketch, form.machine, form.training);
  layers.set_merged(form.merged);
  const Sketch::Recording recording(sketch, form.graph);
  const auto input = [&](std::vector<std::int64_t> sizes, bool reached) {
    SketchTensor x = sketch.empty(std::move(sizes), form.machine.element);
    return reached ? sketch.leaf(std::move(x), std::make_shared<SketchParameter>()) : x;
  };
  const SketchTensor y = run(layers, input);
  CallFlops out{.forward = sketch.flops()};
  if (form.graph) sketch.backward(y, sketch.like(y));
  out.backward = sketch.flops() - out.forward;
  return out;
}

}  // namespace detail

REWARD_TUNER_INLINE CallFlops unet_flops(const UNet2DConditionConfig& config, std::int64_t rows, LatentSize latents,
                                         std::int64_t tokens, const CallForm& form) {
  std::optional<SketchUNet> unet;  // blocks of a checkpoint run again in the backward
  return detail::sketched_flops(form, [&](SketchLayers& layers, const auto& input) {
    unet.emplace(layers, config);
    return unet->forward(input({rows, config.in_channels, latents.height, latents.width}, form.through_input),
                         input({rows, tokens, config.cross_attention_dim.front()}, form.through_states),
                         form.checkpointing);
  });
}

REWARD_TUNER_INLINE CallFlops decoder_flops(const AutoencoderKLConfig& config, std::int64_t images, LatentSize latents,
                                            const CallForm& form) {
  return detail::sketched_flops(form, [&](SketchLayers& layers, const auto& input) {
    return sketch_decode(layers, config,
                         input({images, config.latent_channels, latents.height, latents.width}, form.through_input));
  });
}

REWARD_TUNER_INLINE CallFlops encoder_flops(const AutoencoderKLConfig& config, std::int64_t images, LatentSize latents,
                                            const CallForm& form) {
  return detail::sketched_flops(form, [&](SketchLayers& layers, const auto& input) {
    const std::int64_t pixels = config.reduction();
    return sketch_encode(
        layers, config,
        input({images, config.in_channels, latents.height * pixels, latents.width * pixels}, form.through_input));
  });
}

REWARD_TUNER_INLINE CallFlops text_flops(const ClipTextConfig& config, std::int64_t rows, std::int64_t tokens,
                                         const CallForm& form) {
  return detail::sketched_flops(form, [&](SketchLayers& layers, const auto& input) {
    return sketch_clip_encoder(layers, config, input({rows, tokens, config.hidden_size}, form.through_states),
                               "text_model");
  });
}

}  // namespace reward_tuner
