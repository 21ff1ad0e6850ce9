// What an update holds in memory at its peak, from the configurations of its networks alone: the update's own course
// (rollout, decoding and scoring, adjoint sweep or training on rows) on sketched tensors.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include <reward_tuner/engine/engine_options.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_text.hpp>
#include <reward_tuner/models/clip_vision.hpp>
#include <reward_tuner/models/sketch_layers.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>

namespace reward_tuner {

/// A text encoder as an update sees it.
struct SketchTextEncoder {
  ClipTextConfig config = {};
  std::int64_t tokens = 77;      ///< of a prompt's row
  SketchTraining training = {};  ///< adapters on its attention
};

/// All that the memory of an update depends on.
struct UpdateShape {
  UNet2DConditionConfig unet = {};
  AutoencoderKLConfig vae = {};
  std::vector<SketchTextEncoder> text = {};  ///< one, or SDXL's two
  LatentSize latents = 64;
  SketchMachine machine = {};
  std::int64_t image_element = 4;  ///< bytes of a number in VAE and reward; `machine` has the networks'
  SketchTraining training = {};    ///< of the UNet
  EngineOptions engine = {};

  std::int64_t images = 8;    ///< of an update
  int steps = 50;             ///< T
  int trained = 5;            ///< K: steps that are trained; rounds keep that many transitions
  bool guided = true;         ///< two network rows a sample
  bool passes_input = false;  ///< the gradient enters the network's input
  int replicas = 0;           ///< fresh noisings of each image that are trained as well (DRaFT-LV)
  bool compared = false;      ///< trained rows are compared with the untuned network's
  std::int64_t own_rows = 0;  ///< images that a regularizer's own loss denoises; 0: none
  bool samples = false;       ///< learns from sampled images, by rounds, instead of the reward's gradient
  bool denoises = false;      ///< of these: from the denoising loss of whole images
  std::int64_t rows = 0;      ///< of these: pairs of image and step in a network call; 0: a micro-batch
  /// of these: pairs in an optimizer step; more than a call has add up in gradients that are there. 0: those of a call
  std::int64_t step_rows = 0;
  std::optional<ClipVisionConfig> judge = {};  ///< the network of a reward that has one; others are a few images
};

/// Bytes of an update.
struct UpdateMemory {
  std::int64_t peak = 0;  ///< UpdateReport::peak_tensor_bytes of every update, the first and later ones
  /// of these what stays until the next update drops it, as a Trainer does before: of rounds nothing
  std::int64_t gradients = 0;
  std::int64_t sampling = 0;         ///< the highest before anything is scored
  std::int64_t scoring = 0;          ///< the highest while images are decoded and scored
  std::int64_t training = 0;         ///< the highest while steps are differentiated
  std::int64_t graph = 0;            ///< the graph of one trained call
  std::int64_t retained = 0;         ///< trained steps whose graphs are kept, of the first micro-batch
  std::int64_t trained_numbers = 0;  ///< numbers in adapters of UNet and text encoders
};

/// The bytes of an update of this shape, within 10% of what MemoryMeter counts on a CPU.
UpdateMemory sketch_update(const UpdateShape& shape);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/engine/update_sketch.ipp>
#endif
