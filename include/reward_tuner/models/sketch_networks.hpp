// The networks of a pipeline on sketched tensors: UNet, VAE decoder and encoder and CLIP's encoder, built from their
// configurations alone, block by block as the true ones (unet_blocks.hpp, attention.hpp, resnet.hpp, vae_blocks.hpp,
// clip_encoder.hpp).
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/clip_encoder.hpp>
#include <reward_tuner/models/sketch_layers.hpp>
#include <reward_tuner/models/unet_2d_condition_config.hpp>

namespace reward_tuner {

/// The noise predictor of a configuration: per-level transformer depth, heads and widths, added embeddings, either kind
/// of projection.
class SketchUNet {
 public:
  SketchUNet(SketchLayers& layers, UNet2DConditionConfig config) : layers_(layers), config_(std::move(config)) {}

  /// sample [B,C,h,w], context [B,L,D] -> [B,C_out,h,w]
  SketchTensor forward(const SketchTensor& sample, const SketchTensor& context, bool checkpointing);

 private:
  struct Level {
    std::string path;
    std::int64_t out = 0, index = 0, layers = 0;
    bool attends = false, resample = false;
  };
  using List = std::vector<SketchTensor>;
  SketchTensor embedding(const std::string& path, std::int64_t batch, std::int64_t in, std::int64_t out);
  SketchTensor time(std::int64_t batch);
  SketchTensor transformer(const std::string& path, const SketchTensor& x, const SketchTensor& context,
                           std::int64_t level);
  SketchTensor attention(const std::string& path, const SketchTensor& x, const SketchTensor& context,
                         std::int64_t heads);
  List down(const Level& level, const SketchTensor& x, const SketchTensor& time, const SketchTensor& context);
  SketchTensor middle(const SketchTensor& x, const SketchTensor& time, const SketchTensor& context);
  SketchTensor up(const Level& level, const SketchTensor& x, const SketchTensor& time, const SketchTensor& context,
                  List& skips);

  SketchLayers& layers_;
  UNet2DConditionConfig config_;
};

/// latents [B,C,h,w] -> images [B,3,H,W] in [0,1], as StableDiffusion::decode.
SketchTensor sketch_decode(SketchLayers& layers, const AutoencoderKLConfig& config, const SketchTensor& latents);

/// images [B,3,H,W] -> moments [B,2C,h,w].
SketchTensor sketch_encode(SketchLayers& layers, const AutoencoderKLConfig& config, const SketchTensor& images);

/// CLIP's encoder: x [B,L,D] -> [B,L,D]; the states of all layers are there until it is done.
SketchTensor sketch_clip_encoder(SketchLayers& layers, const ClipEncoderOptions& options, const SketchTensor& x,
                                 const std::string& path);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/sketch_networks.ipp>
#endif
