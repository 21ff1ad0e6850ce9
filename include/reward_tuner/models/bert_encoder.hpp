// BERT whose layers also look at an image: BLIP's image-grounded text encoder (Devlin et al. 2019; Li et al. 2022,
// section 3.1). Names are those of published BLIP checkpoints.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/models/layers.hpp>

namespace reward_tuner {

/// Settings of a BertEncoder; the defaults are those of BERT-base with BLIP's vocabulary and ViT-L.
struct BertConfig {
  std::int64_t vocab_size = 30524;             ///< rows of the token table
  std::int64_t hidden_size = 768;              ///< width D of the residual stream
  std::int64_t intermediate_size = 3072;       ///< width of the feed-forward layer
  std::int64_t num_hidden_layers = 12;         ///< number of layers
  std::int64_t num_attention_heads = 12;       ///< attention heads; must divide hidden_size
  std::int64_t max_position_embeddings = 512;  ///< longest sequence
  double layer_norm_eps = 1e-12;               ///< added to the variance in every layer norm
  std::int64_t image_width = 1024;             ///< width W of the image's tokens

  /// Reads BLIP's med_config.json; unknown keys and unsupported values throw. The file's encoder_width is not read: in
  /// published files it is not the image encoder's, so `image_width` says it.
  static BertConfig from_json(const nlohmann::json& json, std::int64_t image_width,
                              const std::string& where = "med_config.json");

  /// Throws unless the sizes fit together.
  void check() const;
};

/// Attention with its output projection, then the norm of its sum with the input.  x [B,L,D], source [B,S,C] -> [B,L,D]
class BertAttention : public torch::nn::Module {
 public:
  /// `source_width` is C.
  BertAttention(const BertConfig& c, std::int64_t source_width);
  /// `mask` as in dot_product_attention; undefined: every token of the source counts.
  Tensor forward(const Tensor& x, const Tensor& source, const Tensor& mask = {}) const;

 private:
  std::int64_t heads_;
  std::shared_ptr<Linear> query_, key_, value_, dense_;
  std::shared_ptr<LayerNorm> norm_;
};

/// Attention to the text, attention to the image, feed-forward.  x [B,L,D], image [B,N,W] -> [B,L,D]
class BertLayer : public torch::nn::Module {
 public:
  explicit BertLayer(const BertConfig& c);
  Tensor forward(const Tensor& x, const Tensor& mask, const Tensor& image) const;

 private:
  std::shared_ptr<BertAttention> attention_, crossattention_;
  std::shared_ptr<Linear> expand_, contract_;
  std::shared_ptr<LayerNorm> norm_;
};

/// Token and position tables (BLIP's BERT has no token types) and the layers.
/// Gradient: reaches the image's tokens and the parameters; ids carry none.
class BertEncoder : public torch::nn::Module {
 public:
  explicit BertEncoder(BertConfig config);

  /// ids and mask int64 [B,L] (1: a token, 0: padding, whose scores get -10000), image [B,N,W] -> states [B,L,D].
  Tensor forward(const Tensor& ids, const Tensor& mask, const Tensor& image) const;
  const BertConfig& config() const { return config_; }

 private:
  BertConfig config_;
  std::shared_ptr<Embedding> words_, positions_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<ModuleListOf<BertLayer>> layers_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/models/bert_encoder.ipp>
#endif
